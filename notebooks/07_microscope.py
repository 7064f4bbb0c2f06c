# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A stack from a microscope
#
# A widefield microscope sees all of a cell at once: every slice has the light of the others on top, out of focus. This
# notebook goes from beads to a psf, and with it from a recorded stack of two channels to a restored one, in files that
# ImageJ opens. The specimen is simulated, so that the truth stands beside what is restored.

# %%
# %config InlineBackend.figure_formats = ["jpeg"]
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tifffile
import torch
from scipy.ndimage import gaussian_filter

import deconv
from deconv.imaging import psf
from deconv.imaging.psf.shift import shifted
from deconv.imaging.stacks import read_volume, write_stack

plt.style.use("quiet.mplstyle")
FAST = "DECONV_NOTEBOOK_FAST" in os.environ  # smaller sizes, for the tests

STEP, PIXEL = 0.25, 0.09  # of a voxel along z, and along y and x, in micrometres
WAVELENGTHS = {"lamina": 0.461, "filaments": 0.525}  # of the light of both channels, in micrometres
COLOURS = np.array([[1.0, 0.35, 0.75], [0.3, 1.0, 0.45]])  # in which they are shown
random = np.random.default_rng(0)


def show(panels, side=3.4):
    """Of stacks C x Z x Y x X the middle slice (xy) and a cut through the middle from the side (xz), in colours."""
    _, slices, rows, _ = next(iter(panels.values())).shape
    ratio = STEP * slices / (PIXEL * rows)
    _, axes = plt.subplots(
        2, len(panels), figsize=(side * len(panels), side * (1 + ratio) + 0.3), squeeze=False, height_ratios=[1, ratio]
    )
    for column, (title, stack) in enumerate(panels.items()):
        middle = [n // 2 for n in stack.shape[1:]]
        for axis, cut, aspect in (
            (axes[0, column], stack[:, middle[0]], 1),
            (axes[1, column], stack[:, :, middle[1]], STEP / PIXEL),
        ):
            shares = cut / np.quantile(cut, 0.998, axis=(1, 2), keepdims=True)
            axis.imshow(np.einsum("cyx,cr->yxr", shares.clip(0, 1), COLOURS).clip(0, 1), aspect=aspect)
            axis.axis("off")
        top = axes[0, column]
        top.set_title(title)
        top.plot([6, 6 + 2 / PIXEL], [stack.shape[2] - 7] * 2, "w", linewidth=2)
        top.text(6, stack.shape[2] - 10, "2 µm", color="w", fontsize="small")


# %% [markdown]
# ## The specimen
#
# Two things that biologists stain: the lamina, a thin shell around the nucleus, with a few bright foci inside, and
# filaments that wind around it. Both are formulas, in micrometres. The latent image $x$ is larger than the frame, as
# a cell is.

# %%
FRAME = (12, 40, 40) if FAST else (24, 128, 128)
PSF = (9, 15, 15) if FAST else (17, 31, 31)
shape = tuple(n + k - 1 for n, k in zip(FRAME, PSF, strict=True))
voxel = np.array([STEP, PIXEL, PIXEL])
extent = voxel * np.array(FRAME)  # of the frame
z, y, x = (
    size * (np.arange(n) - (n - 1) / 2).reshape([-1 if a == axis else 1 for a in range(3)])
    for axis, (n, size) in enumerate(zip(shape, voxel, strict=True))
)


def points(places, light):
    """Points of light at places (N, 3) in micrometres from the middle, each shared by the eight voxels around it."""
    stack = np.zeros(shape, np.float32)
    at = places / voxel + (np.array(shape) - 1) / 2
    low = np.floor(at).astype(int)
    for corner in np.ndindex(2, 2, 2):
        index = low + corner
        share = np.prod(1 - np.abs(at - index), axis=1) * light
        inside = ((index >= 0) & (index < shape)).all(1)
        np.add.at(stack, tuple(index[inside].T), share[inside])
    return stack


radii = np.array([0.30, 0.31, 0.27]) * extent
distance = np.sqrt((z / radii[0]) ** 2 + (y / radii[1]) ** 2 + (x / radii[2]) ** 2)
lamina = np.exp(-0.5 * ((distance - 1) * radii.mean() / 0.12) ** 2)
lamina = lamina + points(random.uniform(-0.5, 0.5, (24, 3)) * radii, 8.0)

filaments = np.zeros(shape, np.float32)
turn = np.linspace(0, 1, 4000)[:, None]
for _ in range(12 if FAST else 40):
    start, twist, tilt, phase, wave = random.uniform([0, -1.2, -1, 0, 1], [2 * np.pi, 1.2, 1, 2 * np.pi, 3])
    angle = start + twist * np.pi * turn + 0.12 * np.sin(phase + 2 * np.pi * wave * turn)
    height = 0.9 * tilt * np.cos(2 * turn + 0.2 * np.sin(phase + 2 * np.pi * wave * turn))
    across = np.sqrt(1 - height**2)
    path = np.hstack([height, across * np.sin(angle), across * np.cos(angle)])
    filaments += points((1.1 + 0.7 * turn**1.5) * radii * path, 0.03)

lamina, filaments = (gaussian_filter(stack, 0.06 / voxel).astype(np.float32) for stack in (lamina, filaments))

# %% [markdown]
# ## The microscope and its camera
#
# An oil objective of numerical aperture 1.3 looks 2 µm deep into a mounting medium of another refractive index than
# the oil, which leaves an aberration: the psf, by the formula of Gibson and Lanni, is not the same above and below its
# focus. The camera counts photons, with their Poisson noise, and writes numbers: `GAIN` for each photon on top of an
# `OFFSET`, with read-out noise. The file is an ImageJ hyperstack with the size of its voxels, as acquisition programs
# write it.

# %%
GAIN, OFFSET, READ_OUT = 2.2, 100.0, 1.5  # numbers per photon, numbers, numbers
PHOTONS = 400  # in the brightest voxel of the blurred specimen


def instrument(wavelength):
    h = psf.gibson_lanni(
        PSF, wavelength=wavelength, aperture=1.3, pixel=PIXEL, step=STEP, depth=2.0, n_sample=1.45, z="sample"
    )
    h = psf.centre(h)
    spare = [(n - k) // 2 for n, k in zip(h.shape, PSF, strict=True)]  # rows that the move has added
    h = h[tuple(slice(s, n - s) for s, n in zip(spare, h.shape, strict=True))]
    return (h / h.sum()).numpy()


def photograph(light, photons=PHOTONS):
    """What the camera writes of so much light, with so many photons where there is most; and numbers per light."""
    scale = photons / light.max()
    numbers = OFFSET + GAIN * random.poisson(scale * light.clip(0)) + READ_OUT * random.standard_normal(light.shape)
    return numbers.round().clip(0, 65535).astype(np.uint16), GAIN * scale


true_psfs = [instrument(wavelength) for wavelength in WAVELENGTHS.values()]
inside = tuple(slice(k // 2, n - k // 2) for k, n in zip(PSF, shape, strict=True))
recorded, truth = [], []
for latent, h in zip((lamina, filaments), true_psfs, strict=True):
    numbers, unit = photograph(deconv.degrade(latent, h))
    recorded.append(numbers)
    truth.append(unit * latent[inside])
truth = np.stack(truth)

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
tifffile.imwrite(
    folder / "cell.tif",
    np.stack(recorded, axis=1),
    imagej=True,
    resolution=(1 / PIXEL, 1 / PIXEL),
    metadata={"axes": "ZCYX", "spacing": STEP, "unit": "um", "Labels": list(WAVELENGTHS) * FRAME[0]},
)
volume = read_volume(folder / "cell.tif")
counts = volume.values.astype(np.float32).swapaxes(0, 1)
print(f"{volume.axes} {volume.values.shape} {volume.values.dtype}, voxels of {volume.voxel}")
show({"recorded": counts - OFFSET, "specimen": truth}, side=4.2)

# %% [markdown]
# Notice in the cut from the side how the light of each slice spreads in a cone over the others, until nothing is left
# of the top and the bottom of the shell, which are as bright as its sides.
#
# ## Beads tell the psf
#
# Nobody knows the aberrations of a microscope, so one looks at points of light: beads that are small against the blur,
# in the same medium, by the same objective, in each channel. `from_beads` finds them, leaves out those that are
# crowded, saturated or unlike the others, brings the rest onto each other to a part of a voxel, and averages them.
# Few beads in a large field are best: the light of each reaches farther than its window.

# %%
FIELD, COUNT = ((13, 120, 120), 8) if FAST else ((21, 512, 512), 30)


def bead_stack(h):
    """Beads at random places, each the psf moved by parts of a voxel."""
    light = np.zeros(FIELD)
    least = np.array(PSF) // 2 + 1
    for place in random.uniform(least, np.array(FIELD) - 1 - least, (COUNT, 3)):
        whole = place.round().astype(int)
        window = tuple(slice(p - k // 2, p + k // 2 + 1) for p, k in zip(whole, PSF, strict=True))
        light[window] += random.uniform(0.7, 1) * shifted(torch.from_numpy(h), place - whole).numpy()
    return photograph(light, photons=2000)[0]


measured = []
for name, h in zip(WAVELENGTHS, true_psfs, strict=True):
    beads = bead_stack(h)
    found, report = psf.from_beads(beads, PSF)
    measured.append(found.numpy())
    print(f"{name}: {report}")

# %%
_, axes = plt.subplots(1, 4, figsize=(12, 3.1), width_ratios=[1.25, 1, 1.3, 1.3])
axes[0].imshow(np.sqrt(beads.max(0)[:250, :250]), vmax=np.sqrt(beads.max()) / 2)
axes[0].set_title("beads, along z the brightest")
axes[1].imshow(np.sqrt(measured[1][:, PSF[1] // 2]), aspect=STEP / PIXEL)
axes[1].set_title("psf from beads, xz")
for axis, direction, size in ((axes[2], 0, STEP), (axes[3], 2, PIXEL)):
    line = tuple(slice(None) if a == direction else n // 2 for a, n in enumerate(PSF))
    place = size * (np.arange(PSF[direction]) - PSF[direction] // 2)
    for number, name in enumerate(WAVELENGTHS):
        peak = true_psfs[number].max()
        axis.plot(place, true_psfs[number][line] / peak, f"C{number}", label=name)
        axis.plot(place, measured[number][line] / peak, f"C{number}o", label=f"{name}, from beads")
    axis.set(xlabel=f"{'zyx'[direction]}, µm", title=f"along {'zyx'[direction]}, of the peak")
axes[3].set_xlim(-0.6, 0.6)
axes[2].legend(fontsize="x-small")
for axis in axes[:2]:
    axis.axis("off")

# %% [markdown]
# Notice that the psf from the beads (dots) is the true one (lines) with its aberration: along z, the slice after the
# peak is brighter than the one before. The longer wavelength makes the wider psf, so each channel gets its own.
#
# ## Richardson-Lucy, which stops by itself
#
# The iteration of Richardson and Lucy climbs to the latent image of greatest likelihood where photons are counted. It
# has to be told what is not light of the specimen: the `background`, here the camera's offset, which frames with the
# shutter closed tell. The gain it need not know. At the top of the likelihood the noise is fitted, too, so it has to
# stop before: with `stop="consensus"`, as soon as two halves of the voxels, like the fields of a chessboard, pull the
# latent image against each other. For the curves, which need the truth, it is also watched while it runs on.

# %%
dark = (OFFSET + READ_OUT * random.standard_normal(FRAME)).round().astype(np.uint16)
background = float(dark.mean())
peaks = np.quantile(truth, 0.999, axis=(1, 2, 3))


def quality(image, channel):
    """PSNR; the peak is the value that one voxel in a thousand exceeds."""
    return deconv.psnr(image / peaks[channel], truth[channel] / peaks[channel])


restored, stops, curves = [], [], []
most = 6 if FAST else 100
for channel, h in enumerate(measured):
    image, run = deconv.richardson_lucy(
        counts[channel], h, background=background, stop="consensus", num_iter=most, info=True
    )
    restored.append(image)
    stops.append(run.iterations)
    curve = []
    deconv.richardson_lucy(
        counts[channel],
        h,
        background=background,
        tv=0,
        num_iter=most,
        callback=lambda _, image, curve=curve, channel=channel: curve.append(quality(image, channel)),
    )
    curves.append(curve)
restored = np.stack(restored)

_, axis = plt.subplots(figsize=(6, 3.2))
for channel, name in enumerate(WAVELENGTHS):
    axis.plot(np.arange(1, most + 1), curves[channel], f"C{channel}", label=f"{name}, running on")
    axis.plot(stops[channel], quality(restored[channel], channel), f"C{channel}D", label="where it stops by itself")
axis.set(xlabel="iterations", ylabel="PSNR, dB", title="Richardson-Lucy with the psf from beads")
axis.legend()
for name, stop, curve in zip(WAVELENGTHS, stops, curves, strict=True):
    print(
        f"{name}: stops after {stop} iterations, where {curve[stop - 1]:.2f} dB are reached of at most {max(curve):.2f}"
    )

# %% [markdown]
# Notice that each curve has a top, each after another number of iterations, and that without the truth the iteration
# stops near it.
#
# ## Beside the truth

# %% tags=["thumbnail"]
show({"recorded": counts - background, "restored": restored, "specimen": truth})

# %% [markdown]
# Notice in the cut from the side that the haze is gone and the shell nearly closed again, and from above that the foci
# inside have become points. The grains along the shell are noise, which Richardson-Lucy piles up where there is light.
#
# In numbers, for each channel: with the psf from beads and with the true one, and by the default of
# `richardson_lucy`, which smooths by total variation in place of stopping. Both channels go in together, with the axis
# that counts them; the psfs have two axes more, for samples and channels.

# %%
options = {"channel_axis": 0, "background": background}
from_beads, true = (np.stack(psfs)[None] for psfs in (measured, true_psfs))
images = {
    "recorded, offset subtracted": counts - background,
    "psf from beads, stops by itself": restored,
    "true psf, stops by itself": deconv.richardson_lucy(counts, true, stop="consensus", num_iter=most, **options),
    "psf from beads, total variation": deconv.richardson_lucy(
        counts, from_beads, num_iter=6 if FAST else 40, **options
    ),
}
print(f"{'PSNR, dB':34}" + "".join(f"{name:>10}" for name in WAVELENGTHS))
for name, image in images.items():
    print(f"{name:34}" + "".join(f"{quality(image[channel], channel):10.1f}" for channel in range(2)))

# %% [markdown]
# The psf from beads restores nearly as well as the true one. Total variation makes the shell smooth, which it is, and
# costs thin filaments some of their light.
#
# ## Back into a file
#
# `write_stack` gives the result the axes and the voxel size of the stack it was made of, in an ImageJ hyperstack or in
# an OME-TIFF, as the file is named. Restored points are brighter than recorded ones, and 16 bits might not hold them,
# so floats are written.

# %%
values = restored.swapaxes(0, 1)
for name in ("restored.tif", "restored.ome.tif"):
    write_stack(folder / name, values, like=volume, bits=32)
    with tifffile.TiffFile(folder / name) as file:
        kind = "ImageJ" if file.is_imagej else "OME"
        again = read_volume(folder / name)
        print(f"{name}: {kind}, {file.series[0].axes} {again.values.shape} {again.values.dtype}, {again.voxel}")
        assert np.array_equal(again.values, values.transpose([volume.axes.index(axis) for axis in again.axes]))
temporary.cleanup()

# %% [markdown]
# From a terminal, without Python:
#
# ```bash
# deconv psf beads beads-461nm.tif -o lamina.tif --size 17x31x31
# deconv psf beads beads-525nm.tif -o filaments.tif --size 17x31x31
# deconv deblur cell.tif -o restored.ome.tif --psf lamina.tif --psf filaments.tif \
#     --method richardson_lucy --background 100 --stop consensus --iterations 100
# ```
#
# **Where to go on:** [restoration of photographs with a known blur](02_deblur_known_psf.ipynb), and how the
# [unknown blur of a photograph](04_blind_kernel_estimation.ipynb) is found.

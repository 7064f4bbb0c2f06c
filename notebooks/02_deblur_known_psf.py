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
# # Deblurring with a known blur
#
# The observation $y$ is the latent image $x$, blurred by the point spread function $h$ (psf), with noise on top:
#
# $$ y = h * x + n . $$
#
# This notebook restores $x$ with every kind of method the toolkit has, and shows what matters in practice: what lies
# outside the frame, how much noise there is, colour, and clipped highlights.

# %%
# %config InlineBackend.figure_formats = ["jpeg"]
import os
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data

import deconv
from deconv.imaging.srgb import to_linear, to_srgb

plt.style.use("quiet.mplstyle")
FAST = "DECONV_NOTEBOOK_FAST" in os.environ  # smaller sizes, for the tests


def show(panels, columns=3, side=3.4, **options):
    """Images in rows, each under its title."""
    rows = -(-len(panels) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(side * columns, (side + 0.2) * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, image) in zip(axes.flat, panels.items(), strict=False):
        axis.imshow(np.clip(np.asarray(image).squeeze(), 0, None), **{"vmin": 0, "vmax": 1} | options)
        axis.set_title(title)


def frame(sharp, psf):
    """The part of a sharp image that its blur shows completely."""
    return sharp[tuple(slice(n // 2, length - n // 2) for n, length in zip(psf.shape, sharp.shape, strict=False))]


# %% [markdown]
# To use a photograph of your own, name its file and its blur here: a movement, `disk:4` for a defocus of 4 pixels, or
# the file of a measured psf (`deconv deblur --help` lists all).

# %%
PHOTOGRAPH, BLUR = None, "motion:15,30"

# %%
psf = deconv.imaging.psf.parse(BLUR)
if PHOTOGRAPH is None:
    camera = (data.camera()[64:160, 176:272] if FAST else data.camera()) / np.float32(255)
    observed, truth = deconv.degrade(camera, psf, noise=0.01, seed=0), frame(camera, psf)
else:
    observed, truth = deconv.imaging.read_image(PHOTOGRAPH), None
    observed = observed / np.float32(np.iinfo(observed.dtype).max if observed.dtype.kind == "u" else 1)
detail = np.s_[50:290, 130:370] if min(observed.shape[:2]) > 400 else np.s_[:, :]
show({"observed": observed[detail]} | ({"latent image": truth[detail]} if truth is not None else {}), columns=2)
show({f"h, {psf.shape[0]} x {psf.shape[1]}": psf}, columns=1, side=1.8, vmax=None)

# %% [markdown]
# Notice in the detail how each bright point has become a stroke of the length and direction of $h$.
#
# ## Why not divide?
#
# In the frequency domain a convolution is a product, $Y = H X$, so $X = Y / H$. Try it on a circular blur without
# noise, and then round the blurred picture to 8 bits as a file does:

# %%
sharp = camera if PHOTOGRAPH is None else data.camera() / np.float32(255)
circular = deconv.degrade(sharp.astype(np.float64), psf, boundary="circular")
transfer = deconv.imaging.psf_to_otf(psf.double(), sharp.shape).numpy()


def divide(image):
    return np.fft.irfft2(np.fft.rfft2(image) / transfer, s=image.shape)


rounded = np.round(circular * 255) / 255
spectrum = np.fft.fftshift(np.log10(np.abs(np.fft.fft2(np.asarray(psf), s=(256, 256))) + 1e-4))
show(
    {
        f"Y / H, exact: {deconv.psnr(divide(circular), sharp):.0f} dB": divide(circular)[detail],
        f"Y / H, 8 bits: {deconv.psnr(divide(rounded), sharp):.0f} dB": divide(rounded)[detail],
        "log |H|, low frequencies in the middle": 1 + spectrum / 4,
    }
)

# %% [markdown]
# Notice the dark bands in the picture on the right: the blur has hidden these frequencies, and $1/H$ amplifies what
# little error there is in them. So every method brings in knowledge about images. Most of them minimise
#
# $$ \tfrac12 \| y - h * x \|^2 + \lambda R(x) , $$
#
# and differ in $R$: squared derivatives (Wiener), the sum of absolute ones (total variation), absolute ones to a power
# below one (hyper-Laplacian), or whatever a denoiser has in mind (plug-and-play). Richardson-Lucy has no $R$; it
# stops early.
#
# ## Methods side by side
#
# All with their defaults: none is told the noise, nor the truth.

# %% tags=["thumbnail"]
methods = {
    "wiener": deconv.wiener,
    "richardson_lucy": deconv.richardson_lucy,
    "total_variation": deconv.total_variation,
    "hyper_laplacian": deconv.hyper_laplacian,
    "plug_and_play": deconv.plug_and_play,
}


def quality(image, truth):
    return f": {deconv.psnr(image, truth):.1f} dB" if truth is not None else ""


panels = {"observed" + quality(observed, truth): observed[detail]}
for name, restore in methods.items():
    start = time.perf_counter()
    restored = restore(observed, psf)
    panels[f"{name}{quality(restored, truth)}, {time.perf_counter() - start:.1f} s"] = restored[detail]
show(panels)

# %% [markdown]
# Notice the grain that the linear Wiener filter leaves in flat areas, the black speckles of Richardson-Lucy, which
# never gets negative, the patches of total variation, and how the sparser priors keep edges sharp. Try
# `hyper_laplacian` first.
#
# ## What lies outside the frame
#
# Light from outside the frame is blurred into it. A method that divides in the frequency domain assumes that the
# image repeats; others mirror it, or take darkness for granted. The default here is `boundary="unknown"`: the
# latent image goes on, and is solved for.

# %%
side = 80 if FAST else 256
sharp = (data.camera()[40 : 40 + side, 140 : 140 + side] / np.float32(255)).astype(np.float32)
blurred = deconv.degrade(sharp, psf, noise=0.01, seed=0)
inside = frame(sharp, psf)
panels = {}
for boundary in ("unknown", "reflect", "replicate", "circular", "zero"):
    restored = deconv.hyper_laplacian(blurred, psf, boundary=boundary)
    panels[f"{boundary}: {deconv.psnr(restored, inside):.1f} dB"] = restored
show({"observed" + quality(blurred, inside): blurred} | panels)

# %% [markdown]
# Notice that wrong assumptions ring through the whole picture, and cost more than any choice of the method.
#
# ## Noise
#
# What can be restored depends on the noise. The methods estimate its standard deviation $\sigma$ (`sigma=None`) and
# choose $\lambda$ by it. On the right, `hyper_laplacian` is told a wrong one:

# %%
noises = np.array([0.003, 0.03] if FAST else [0.002, 0.005, 0.01, 0.02, 0.05, 0.1])
_, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.8))
scores = {name: [] for name in ["observed", *methods]}
for noise in noises:
    blurred = deconv.degrade(sharp, psf, noise=noise, seed=0)
    scores["observed"].append(deconv.psnr(blurred, inside))
    for name, restore in methods.items():
        scores[name].append(deconv.psnr(restore(blurred, psf), inside))
for index, (name, values) in enumerate(scores.items()):
    left.semilogx(100 * noises, values, "k--" if name == "observed" else f"C{index - 1}o-", label=name)
left.set_xticks(100 * noises, [f"{100 * noise:g}" for noise in noises])
left.set(xlabel="noise, % of full scale", ylabel="PSNR, dB", title="Quality against noise")
left.legend(fontsize="small")

blurred = deconv.degrade(sharp, psf, noise=0.01, seed=0)
estimate = deconv.imaging.estimate_noise(blurred)
told = np.array([0.01] if FAST else [0.0025, 0.005, 0.01, 0.02, 0.04])
right.semilogx(100 * told, [deconv.psnr(deconv.hyper_laplacian(blurred, psf, sigma=s), inside) for s in told], "o-")
right.axvline(1, color="gray", linestyle=":", label="the true noise")
right.plot(100 * estimate, deconv.psnr(deconv.hyper_laplacian(blurred, psf), inside), "C1D", label="estimated")
right.set_xticks(100 * told, [f"{100 * s:g}" for s in told])
right.set(xlabel="sigma that hyper_laplacian is told, %", ylabel="PSNR, dB", title="Telling the wrong noise")
right.legend()
for axis in (left, right):
    axis.minorticks_off()
print(f"true noise 1 %, estimated {100 * estimate:.2f} %")

# %% [markdown]
# Notice on the left that less noise leaves more to restore, and that Richardson-Lucy, which has no prior, falls behind
# as the noise grows. On the right, too small a $\sigma$ lets noise through, too large a one smooths. The estimate is
# good enough to be forgotten.
#
# ## Colour and light
#
# Arrays of any depth and layout go in and come back as they were; channels are restored together. One more thing
# matters for photographs: a lens blurs *light*, and the numbers in an sRGB file are not proportional to it.
# `linear=True` restores the light. Here a blur that happened in linear light is restored both ways:

# %%
coffee = data.coffee()[100:356, 100:356] if not FAST else data.coffee()[100:196, 150:246]
light = to_linear(torch.from_numpy(coffee / np.float32(255)).permute(2, 0, 1)[None])
photo = to_srgb(deconv.degrade(light, psf, noise=0.003, seed=0))[0].permute(1, 2, 0).clamp(0, 1).numpy()
photo = (photo * 255).round().astype(np.uint8)
inside = frame(coffee, psf)
numbers, linear = (deconv.hyper_laplacian(photo, psf, linear=linear) for linear in (False, True))
print(f"given {photo.shape} {photo.dtype}, returned {linear.shape} {linear.dtype}")
show(
    {
        "observed" + quality(photo, inside): photo,
        "linear=False" + quality(numbers, inside): numbers,
        "linear=True" + quality(linear, inside): linear,
    }
)

# %% [markdown]
# Notice the ripples that the bright rim sends out where the numbers were taken for light.
#
# ## Clipped highlights
#
# A pixel that the sensor clipped does not obey $y = h * x$. One lamp is enough to ring through its neighbourhood.
# `mask` takes a weight for each pixel, and `mask="auto"` leaves out what is clipped:

# %%
rocket = 1.5 * data.rocket()[250:410, 150:390] / np.float32(255)
overexposed = deconv.degrade(rocket, psf, noise=0.005, seed=0).clip(0, 1)
inside = frame(rocket, psf).clip(0, 1)
panels = {"observed" + quality(overexposed, inside): overexposed}
for mask in (None, "auto"):
    restored = deconv.hyper_laplacian(overexposed, psf, mask=mask).clip(0, 1)
    panels[f"mask={mask!r}" + quality(restored, inside)] = restored
show(panels)

# %% [markdown]
# Notice the ripples beside the flames, and that they are gone on the right. What was clipped stays unknown; what
# counts is that its surroundings are clean.
#
# **Where to go on:** [the Wiener filter as a layer that learns](03_learn_a_deconvolution_layer.ipynb),
# [when the blur is not known](04_blind_kernel_estimation.ipynb),
# [a flow as the prior](06_flow_prior.ipynb).

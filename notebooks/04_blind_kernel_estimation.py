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
# # Finding the blur of a photograph
#
# A photograph is blurred and nobody knows how: the camera was shaken, or out of focus. This notebook estimates the blur
# from the photograph alone, coarse to fine, restores the photograph with it, and then looks at the other road, gradient
# descent through the exact inverse, where the log-determinant decides between blur and no blur.

# %%
# %config InlineBackend.figure_formats = ["jpeg"]
import os
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data

import deconv
from deconv import blind

plt.style.use("quiet.mplstyle")
FAST = "DECONV_NOTEBOOK_FAST" in os.environ  # smaller sizes, for the tests


def show(panels, columns=3, side=3.4, **options):
    """Images in rows, each under its title."""
    rows = -(-len(panels) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(side * columns, (side + 0.2) * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, image) in zip(axes.flat, panels.items(), strict=False):
        axis.imshow(np.clip(np.asarray(image).squeeze(), 0, 1), **{"vmin": 0, "vmax": 1} | options)
        axis.set_title(title)


# %% [markdown]
# To use a photograph of your own, name its file here; a blur of more than some 20 pixels wants a larger `WINDOW`.

# %%
PHOTOGRAPH, WINDOW = None, 25

# %%
if PHOTOGRAPH is None:
    side = 192 if FAST else 300
    latent = data.coffee()[80 : 80 + side, 60 : 60 + side] / np.float32(255)
    true_psf = deconv.imaging.psf.camera_shake(17, seed=5)
    photograph = deconv.degrade(latent, true_psf, noise=0.005, seed=0)
    latent = latent[8:-8, 8:-8]  # what the blurred photograph shows of it
else:
    photograph = deconv.imaging.read_image(PHOTOGRAPH)
    photograph = photograph / np.float32(np.iinfo(photograph.dtype).max if photograph.dtype.kind == "u" else 1)
    latent = true_psf = None

# %% [markdown]
# ## One equation, two unknowns
#
# In $y = h * x + n$ both the latent image $x$ and the blur $h$ are unknown, and one pair always fits: $x = y$ with no
# blur at all. Three ideas lead away from it.
#
# 1. **Only strong edges count.** Two steps alternate: find the latent image of fewest edges that explains $y$ with
#    the last $h$; then find the $h$ that turns the strongest of those edges into what was observed. Fine texture,
#    which fits no blur as well as any, is left out.
# 2. **Coarse to fine.** In a small version of the photograph the blur is small as well, and nearly any start finds it.
# 3. **Evidence chooses.** Several starts lead to several candidates; all must beat no blur. The one of greatest
#    evidence is taken, $p(y \mid h)$, an average over all latent images, sparse edges of its latent image counting as
#    well. The one whose single best image is likeliest would be no blur.

# %%
start = time.perf_counter()
found = blind.estimate(photograph, WINDOW, starts=1 if FAST else 16)
seconds = time.perf_counter() - start
for warning in found.warnings:
    print("warning:", warning)

psfs = {f"step {i}: {psf.shape[0]} x {psf.shape[1]}": psf for i, psf in enumerate(found.trace, start=1)}
psfs[f"found, {seconds:.0f} s"] = found.psf
if true_psf is not None:
    psfs["true blur"] = np.pad(true_psf, (WINDOW - len(true_psf)) // 2)
show({title: psf / psf.max() for title, psf in psfs.items()}, columns=6, side=1.6)

# %% [markdown]
# Notice how the path appears scale by scale: the end of each, enlarged, is the start of the next. At full size the
# psf is refined once more, on a restored photograph.
#
# ## Restoration
#
# From here on the blur is known, as in [notebook 2](02_deblur_known_psf.ipynb). Nobody can tell where a blur has its
# centre, so an estimate may be moved, and the restored image with it: scores are taken at the best shift.

# %% tags=["thumbnail"]
restored = blind.deblur(photograph, estimated=found)
panels = {"photograph": photograph, "restored": restored}
if latent is not None:
    reference = deconv.hyper_laplacian(photograph, true_psf)
    panels = {
        f"{name}: {blind.aligned_psnr(image, latent):.1f} dB": image
        for name, image in (panels | {"restored with the true blur": reference}).items()
    } | {"latent image": latent}
    print(f"similarity of the psfs {blind.kernel_similarity(found.psf, true_psf):.2f} (1: the same)")
    print(f"error ratio {blind.error_ratio(restored, reference, latent):.1f} (below 2 or 3 they look alike)")
middle = [slice(n // 2 - 125, n // 2 + 125) if n > 250 else slice(None) for n in photograph.shape[:2]]
show({title: image[tuple(middle)] for title, image in panels.items()}, columns=2, side=4.2)

# %% [markdown]
# Notice how close the estimated psf comes to the true one in what it restores.
#
# ## With the sharp picture at hand
#
# Sometimes there is a pair: a tripod shot and a hand-held one, or a calibration chart. Then the blur is the solution of
# a least-squares problem, and can be refined by gradient descent: through the recursive Wiener filter of
# [notebook 3](03_learn_a_deconvolution_layer.ipynb), that is two exact inverse convolutions and the spectral factor
# which gives them their kernel, towards the blur with which the filter restores best.

# %%
if latent is not None:
    steps = 2 if FAST else 10
    paired = {
        "least squares": blind.fit(photograph, latent, len(true_psf)),
        f"{steps} steps through the solver": blind.fit(photograph, latent, len(true_psf), num_iter=steps),
    }
    for name, psf in paired.items():
        similarity = blind.kernel_similarity(psf, true_psf)
        quality = deconv.psnr(deconv.wiener(photograph, psf, division="recursive"), latent, border=20)
        print(f"{name}: similarity {similarity:.4f}, restored by its recursive filter {quality:.2f} dB")
    show({name: psf / psf.max() for name, psf in (paired | {"true blur": true_psf}).items()}, side=2)

# %% [markdown]
# Notice that the two can hardly be told apart: with as little noise as here, least squares is hard to better, and the
# descent confirms it.
#
# ## Maximum likelihood through the exact inverse
#
# Back to a single picture. If the blur $A_h$ is causal and invertible, the latent image is a function of the
# observation, $x = A_h^{-1} y$, and the density of the observation follows from that of sharp images by a change of
# variables, as in a normalizing flow:
#
# $$ \log p(y \mid h) = \log p(A_h^{-1} y) - \log |\det A_h|, \qquad \log |\det A_h| = H W \log |T| . $$
#
# The second term is what most methods lack. Here is a family of blurs of sum one, $h_a \propto \delta + a\, t$ with a
# tail $t$, and a photograph blurred with $a = 2/3$. The prior, `sparse_gradients`, says that differences of
# neighbours have heavy tails.

# %%
step = 4 if FAST else 2
sharp = torch.from_numpy(data.camera()[::step, ::step] / 255)[None, None]
tail = torch.zeros(5, 5, dtype=torch.float64)
for row, column, weight in ((3, 4, 2), (3, 3, 2), (2, 2, 2), (1, 1, 1), (1, 0, 1)):
    tail[row, column] = weight / 8


def blur(a):
    """delta + a * tail, scaled to sum 1; the anchor comes last."""
    kernel = a * tail
    kernel[-1, -1] = 1
    return (kernel / kernel.sum())[None, None]


truth = 2 / 3
y = deconv.causal_conv2d(sharp, blur(truth))
amounts = np.append(np.linspace(0, 0.95, 9 if FAST else 29), truth)
amounts.sort()
prior = [float(blind.sparse_gradients(deconv.inverse_conv2d(y, blur(a)))) / y.numel() for a in amounts]
determinant = [-float(deconv.causal_log_abs_det(blur(a), 1, 1)) for a in amounts]

_, axes = plt.subplots(1, 3, figsize=(12, 3.2))
curves = {"log p of the latent image": prior, "-log|det A|": determinant, "their sum": np.add(prior, determinant)}
for axis, (title, curve) in zip(axes, curves.items(), strict=True):
    axis.plot(amounts, curve)
    best = np.argmax(curve)
    axis.plot(amounts[best], curve[best], "C1o", label=f"best: a = {amounts[best]:.2f}")
    axis.axvline(truth, color="gray", linestyle=":", label="the truth")
    axis.set(xlabel="a, how much blur", ylabel="nats a pixel", title=title)
    axis.legend()

# %% [markdown]
# Notice the maxima. The prior alone prefers no blur, $a = 0$: what is blurred is smooth, and smooth images are
# likely. The determinant rewards blur: it says by how much this blur has shrunk volumes. Only the sum knows.
#
# `fit_causal` finds all taps, by descent along the gradient through the inverse, from nothing but $y$:

# %%
true_kernel = blur(truth)[0, 0]
kernels = {"the true kernel": true_kernel}
for name, use in {"with the determinant": True, "without": False}.items():
    kernel = blind.fit_causal(y, 5, determinant=use, num_iter=10 if FAST else 150)
    kernels[f"{name}: {float((kernel - true_kernel).norm() / true_kernel.norm()):.0%} off"] = kernel
    if use:
        unblurred = deconv.inverse_conv2d(y, kernel[None, None])
show({title: kernel / true_kernel[:-1].max() for title, kernel in kernels.items()}, side=2.4)
show({"the latent image": sharp, "blurred": y, "unblurred by the kernel found": unblurred})

# %% [markdown]
# Notice that without the determinant, descent ends at no blur. With it, the path appears. (The anchor
# is beyond white.) The blur that a photograph has of its own, from lens and sensor, is fitted along, beside what is
# known of it: that it is nearly symmetric, and by how much it differs.
#
# **Where to go on:** [a flow whose density of photographs is learnt](06_flow_prior.ipynb),
# [deblurring with a known blur](02_deblur_known_psf.ipynb).

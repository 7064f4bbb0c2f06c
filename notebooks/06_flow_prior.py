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
# # A normalizing flow as the prior of photographs
#
# [Notebook 2](02_deblur_known_psf.ipynb) restores with priors that say little: derivatives are sparse. A normalizing
# flow has learnt from photographs what they look like, and says it as a density, with a gradient. This notebook
# makes a flow a denoiser, a prior for deblurring, and the judge of what is made up and what is not.

# %%
# %config InlineBackend.figure_formats = ["jpeg"]
import os
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import spearmanr
from skimage import data

import deconv
from deconv import blind, restore
from deconv.imaging import valid_margins
from deconv.prior import cosine_basis, load_prior
from deconv.training.grid import grid

plt.style.use("quiet.mplstyle")
FAST = "DECONV_NOTEBOOK_FAST" in os.environ  # smaller sizes, for the tests


def show(panels, columns=3, side=3.4, **options):
    """Images in rows, each under its title."""
    rows = -(-len(panels) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(side * columns, (side + 0.2) * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, image) in zip(axes.flat, panels.items(), strict=False):
        axis.imshow(np.asarray(image).squeeze(), **{"vmin": 0, "vmax": 1} | options)
        axis.set_title(title)


# %% [markdown]
# ## A density of photographs
#
# A block of $8 \times 8$ pixels, less its mean, has 63 cosine coefficients $v$. Two densities come with the package,
# both learnt from photographs and both *conditional on the noise* $\sigma$ in the image:
#
# - a mixture of 200 Gaussians, $q_\sigma(v) = \sum_k \pi_k\, \mathcal N(v; 0, \Sigma_k + \sigma^2 I)$, every block
#   for itself,
# - a flow, $\log p_\sigma(x) = \sum_i \log q_\sigma(P_i f_\sigma(x)) + \log |\det f_\sigma'|$, which bends the whole
#   image before its blocks $P_i$ go to the mixture. At three scales of the Haar transform, inverse convolutions and
#   couplings change the details as the coarser image, and the details around, suggest: what a block can learn from its
#   neighbours.
#
# What do they take for blocks? Draw some, next to those of a photograph:

# %%
mixture, flow = load_prior("gmm"), load_prior("flow")
print(
    f"{sum(t.numel() for t in flow.state_dict().values()):,} numbers in the flow, of them "
    f"{sum(t.numel() for t in mixture.state_dict().values()):,} of the mixture"
)

generator = torch.Generator().manual_seed(0)
side = 64 if FAST else 224
sharp = torch.from_numpy(data.camera()[30 : 30 + side, 120 : 120 + side] / np.float32(255))[None, None]
patches = torch.nn.functional.unfold(sharp, 8, stride=8)[0].T
patches = patches[torch.randperm(len(patches), generator=generator)[:100]]
sheets = {"a photograph": patches - patches.mean(1, keepdim=True)}
for name, prior in {"the mixture": mixture, "the flow": flow}.items():
    sheets[f"drawn from {name}"] = prior.sample(100, 0.01, generator=generator) @ cosine_basis(8).float()
show({name: grid(0.5 + sheet.view(-1, 1, 8, 8)) for name, sheet in sheets.items()}, interpolation="nearest")

# %% [markdown]
# Notice the edges and corners among the drawn blocks, and that none runs on as those of a photograph do: each was drawn
# by itself.
#
# The density of an image may be averaged over several grids of blocks. In nats a pixel:

# %%
noise = torch.randn(sharp.shape, generator=generator)
soft = deconv.imaging.convolve(sharp, deconv.imaging.psf.gaussian(1.0), boundary="reflect")
versions = {
    "photograph": sharp,
    "blurred": soft,
    "5 % noise": sharp + 0.05 * noise,
    "pixels shuffled": sharp.flatten()[torch.randperm(sharp.numel(), generator=generator)].view(sharp.shape),
}
show(
    {
        f"{name}: {float(flow.log_prob(image, 0.01, stride=3)) / image.numel():.2f} nats a pixel": image
        for name, image in versions.items()
    },
    columns=4,
    side=3,
)

# %% [markdown]
# Noise and disorder are unlikely. But notice that the *blurred* photograph is likelier than the sharp one: smooth
# things are common. A prior alone does not deblur; what the observation says must stand beside it.
#
# ## The gradient is a denoiser
#
# Tweedie's formula: if $x$ is a clean image plus noise, the mean of the clean images behind it is
#
# $$ x + \sigma^2 \nabla \log p_\sigma(x) . $$
#
# The gradient goes through the flow by exact solves:

# %%
sigma = 25 / 255
noisy = sharp + sigma * noise
panels = {"noisy": noisy, "the mixture": mixture.denoise(noisy, sigma), "the flow": flow.denoise(noisy, sigma)}
show({f"{name}: {float(deconv.psnr(image, sharp)):.2f} dB": image for name, image in panels.items()})

# %% [markdown]
# Notice the coat and the sky: the noise is gone, the edges are not.
#
# ## Deblurring: the most probable image
#
# $$ \min_x \tfrac12 \| y - h * x \|^2 - \lambda \sigma^2 \log p(x) $$
#
# is solved by turns: a step for the data in the frequency domain, and a denoising step, at noise levels that fall from
# the contrast of the image to its noise, on another grid of blocks every time.

# %% tags=["thumbnail"]
psf = deconv.imaging.psf.camera_shake(15, seed=2)
observed = deconv.degrade(sharp, psf, noise=0.01, seed=0)
latent = deconv.imaging.crop(sharp, valid_margins(psf.shape))
methods = {
    "hyper_laplacian": deconv.hyper_laplacian,
    "plug_and_play": deconv.plug_and_play,
    "epll, the mixture": restore.epll,
    "flow_map, the flow": restore.flow_map,
}
panels = {f"observed: {float(deconv.psnr(observed, latent)):.2f} dB": observed}
for name, method in methods.items():
    start = time.perf_counter()
    restored = method(observed, psf)
    seconds = time.perf_counter() - start
    panels[f"{name}: {float(deconv.psnr(restored, latent)):.2f} dB, {seconds:.1f} s"] = restored
show(panels | {"latent image": latent})

# %% [markdown]
# Notice the camera and the hair. The learnt densities know more of photographs than that derivatives
# are sparse. Over many photographs the flow, which looks beyond the block, is ahead of the mixture by a tenth of a
# decibel; on a single one either may be.
#
# ## What is made up?
#
# The most probable image is one answer. The posterior has many, and where they differ, nothing observed decides.
# `flow_posterior` draws several, by Langevin dynamics: a solve for the data with a perturbed right-hand side, and a
# step of the denoiser, at noise levels that fall. From one draw to the next, a chain climbs to a higher level and comes
# down again.

# %%
start = time.perf_counter()
posterior = restore.flow_posterior(observed, psf, samples=2 if FAST else 8)
print(f"{len(posterior.samples)} samples in {time.perf_counter() - start:.0f} s; R-hat {posterior.r_hat:.2f}")

error = (posterior.mean - latent).abs()
correlation = spearmanr(posterior.deviation.flatten(), error.flatten()).statistic
print(f"rank correlation of the deviation and the actual error, over pixels: {correlation:.2f}")
covered = (error < 1.645 * np.sqrt(1 + 1 / len(posterior.samples)) * posterior.deviation).float().mean()
print(f"of the pixels, {float(covered):.0%} are within the central 90 % that mean and deviation give")
show(
    {
        f"a sample: {float(deconv.psnr(posterior.samples[0], latent)):.2f} dB": posterior.samples[0],
        f"another one: {float(deconv.psnr(posterior.samples[-1], latent)):.2f} dB": posterior.samples[-1],
        f"mean of all: {float(deconv.psnr(posterior.mean, latent)):.2f} dB": posterior.mean,
        "deviation": posterior.deviation / posterior.deviation.quantile(0.99),
        "actual error of the mean": error / error.quantile(0.99),
        "latent image": latent,
    }
)

order = posterior.deviation.flatten().argsort()
groups = [(posterior.deviation.flatten()[part], error.flatten()[part]) for part in order.chunk(20)]
_, axis = plt.subplots(figsize=(5, 3.4))
axis.plot(
    [100 * d.square().mean().sqrt() for d, _ in groups], [100 * e.square().mean().sqrt() for _, e in groups], "o-"
)
axis.axline((0, 0), slope=1, color="gray", linestyle=":")
axis.set(
    xlabel="deviation of the samples, % of full scale",
    ylabel="error of their mean, %",
    title="Pixels in twenty groups of like deviation",
)

# %% [markdown]
# Notice that where the samples disagree, the error is large: at edges that the blur has smeared, and in texture; and
# that the deviation is about its size.
#
# ## The blur itself, by maximum likelihood
#
# In [notebook 4](04_blind_kernel_estimation.ipynb) the likelihood of a causal blur,
#
# $$ \log p(y \mid h) = \log p(A_h^{-1} y) - \log |\det A_h| , $$
#
# had a simple density of images. With the flow in its place, gradients run through the flow's inverse convolutions and
# through that of the blur. First along a family of blurs, $h_a \propto \delta + a\, t$ with $a = 2/3$ the truth:

# %%
small = torch.from_numpy(data.camera()[:: 8 if FAST else 4, :: 8 if FAST else 4] / np.float32(255))[None, None]
tail = torch.zeros(5, 5)
for row, column, share in ((3, 4, 2), (3, 3, 2), (2, 2, 2), (1, 1, 1), (1, 0, 1)):
    tail[row, column] = share / 8


def blur(a):
    """delta + a * tail, scaled to sum 1; the anchor comes last."""
    kernel = a * tail
    kernel[-1, -1] = 1
    return (kernel / kernel.sum())[None, None]


truth = 2 / 3
y = deconv.causal_conv2d(small, blur(truth))
amounts = np.append(np.linspace(0, 0.95, 4 if FAST else 20), truth)
amounts.sort()
determinant = np.array([-float(deconv.causal_log_abs_det(blur(a), 1, 1)) for a in amounts])
with torch.no_grad():
    prior = np.array([float(flow.log_prob(deconv.inverse_conv2d(y, blur(a)))) for a in amounts]) / y.numel()

_, axis = plt.subplots(figsize=(6, 3.2))
for name, curve in {"log p of the latent image": prior, "with the determinant": prior + determinant}.items():
    best = np.argmax(curve)
    axis.plot(amounts, curve, label=f"{name}, best: a = {amounts[best]:.2f}")
    axis.plot(amounts[best], curve[best], "ko")
axis.axvline(truth, color="gray", linestyle=":", label="the truth")
axis.set(xlabel="a, how much blur", ylabel="nats a pixel", title="Likelihood of the blur, by the flow")
axis.legend()

# %% [markdown]
# Notice that the prior alone prefers no blur here, too, and that the determinant sets it right.
#
# Then all taps, from nothing but $y$. The blur that the photograph has of its own is fitted beside it, since no
# photograph is exactly as sharp as the prior expects:

# %%
true_kernel = blur(truth)[0, 0]
kernels = {"the true kernel": true_kernel}
steps = 3 if FAST else 120
for name, log_prior in {"sparse gradients": blind.sparse_gradients, "the flow": flow.log_prob}.items():
    start = time.perf_counter()
    kernel = blind.fit_causal(y, 5, log_prior, num_iter=steps)
    off = float((kernel - true_kernel).norm() / true_kernel.norm())
    kernels[f"{name}: {off:.0%} off, {time.perf_counter() - start:.0f} s"] = kernel
show({title: kernel / true_kernel[:-1].max() for title, kernel in kernels.items()}, side=2.6)

# %% [markdown]
# Notice that both find the path to a percent, the simple density by far the more quickly. Blurs that are neither
# causal nor without noise are estimated as in [notebook 4](04_blind_kernel_estimation.ipynb), and restored by
# `flow_map` as above.

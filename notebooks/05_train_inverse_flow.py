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
# # Training Inverse-Flow
#
# A normalizing flow is a density with a formula: an invertible map takes images to white noise, and the determinant of
# its Jacobian says how it changes volumes. The inverse of a causal convolution is an ideal part for one. It mixes
# pixels and channels, its determinant is known, and in the other direction it is a plain convolution. This notebook
# builds Inverse-Flow, trains it on patches of photographs, draws from it, and measures what it costs.

# %%
# %config InlineBackend.figure_formats = ["jpeg"]
import math
import os

import matplotlib.pyplot as plt
import torch

from deconv import InverseConv2d, inverse_conv2d
from deconv.bench.timing import interleaved_medians
from deconv.flows import InverseFlow, bits_per_dim, build_flow
from deconv.training import BITS_PER_DIM, Settings, evaluate, fit, load_data
from deconv.training.grid import grid

plt.style.use("quiet.mplstyle")
FAST = "DECONV_NOTEBOOK_FAST" in os.environ  # smaller sizes, for the tests


def show_grids(grids, columns=8, side=3.4):
    """Batches of small images, each as a sheet under its title."""
    _, axes = plt.subplots(1, len(grids), figsize=(side * len(grids), side + 0.2), squeeze=False)
    for axis, (title, images) in zip(axes[0], grids.items(), strict=True):
        axis.imshow(grid(images, columns=columns)[0].numpy(), vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(title)
        axis.axis("off")


# %% [markdown]
# ## Change of variables
#
# If $z = f(x)$ is standard normal, the density of $x$ is
#
# $$ \log p(x) = \log \mathcal N(f(x); 0, I) + \log \left| \det \frac{\partial f}{\partial x} \right| . $$
#
# `InverseFlow` chains steps of four layers: an inverse convolution, each step from another corner, a normalisation of
# the channels, a $1 \times 1$ convolution, and a coupling, which changes half of the channels by a network of the other
# half. Between levels, two by two pixels become channels, and half of the channels leave. Every layer knows its inverse
# and its log-determinant. In *this* flow the solves are in $f$, so drawing images needs convolutions only.
#
# A small model in double precision, against the definition:

# %%
tiny = InverseFlow((1, 8, 8), levels=2, steps=2, width=8, seed=0).double()
generator = torch.Generator().manual_seed(0)
x = torch.rand(4, 1, 8, 8, dtype=torch.float64, generator=generator)
tiny.initialise(x)
tiny.eval()

z, ladj = tiny(x)
jacobian = torch.func.jacrev(lambda image: tiny(image[None])[0][0])(x[0]).reshape(64, 64)
print(f"x to z and back: {(tiny.inverse(z)[0] - x).abs().max():.0e}")
print(f"log-determinant: {ladj[0]:.8f} by the layers, {torch.linalg.slogdet(jacobian).logabsdet:.8f} by the Jacobian")

# %% [markdown]
# ## The data
#
# Patches from the photographs that scikit-image brings along. Each picture's upper part is for training, the lower
# ones for validation and testing, so that no pixel is in two of them.

# %%
data = load_data("patches")
print(
    f"{len(data.train)} + {len(data.validation)} + {len(data.test)} patches of {data.shape}, {data.train.images.dtype}"
)
real = data.test.images[:64] / 255

# %% [markdown]
# ## Bits per dimension
#
# A density of whole numbers is scored by the bits it takes to code a pixel:
#
# $$ \text{bits/dim} = - \frac{\log_2 p(x + u) }{D} + 8, \qquad u \sim \text{uniform on the step of one grey level} . $$
#
# Eight is what a file without compression takes. A better yardstick is a Gaussian with a full covariance matrix, which
# knows all correlations between the pixels of a patch:

# %%
patches = data.train.images.double().flatten(1)
patches = patches + torch.rand(patches.shape, generator=generator)
gaussian = torch.distributions.MultivariateNormal(patches.mean(0), patches.T.cov())
yardstick = float(-gaussian.log_prob(data.test.images.flatten(1) + 0.5).mean() / (patches.shape[1] * math.log(2)))
print(f"Gaussian: {yardstick:.2f} bits/dim")

# %% [markdown]
# ## Training
#
# `deconv train --model inverse --data patches` does this from the command line, with checkpoints. Here the loop is
# called directly.

# %%
model = InverseFlow(data.shape, levels=2, steps=4, width=32, seed=0)
settings = Settings(
    steps=8 if FAST else 600,
    batch_size=64,
    augmentation="dihedral",
    validate_every=4 if FAST else 60,
    validation_images=100 if FAST else 500,
)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
fitted = fit(model, data, BITS_PER_DIM, settings, progress=False)
model = fitted.model
score = evaluate(model, data.test, BITS_PER_DIM, limit=200 if FAST else 0)
print(f"test: {score.mean:.3f} +- {score.standard_error:.3f} bits/dim, Gaussian {yardstick:.3f}")

_, axis = plt.subplots(figsize=(6.5, 3.2))
validated = [row for row in fitted.history if row["validation"] is not None]
axis.plot(
    [row["step"] for row in fitted.history], [row["train"] for row in fitted.history], label="training", alpha=0.5
)
axis.plot(
    [row["step"] for row in validated],
    [row["validation"] for row in validated],
    "o-",
    label="validation, averaged model",
)
axis.axhline(yardstick, color="gray", linestyle=":", label="Gaussian")
axis.set(xlabel="step", ylabel="bits/dim", title=f"Training for {fitted.seconds:.0f} s")
axis.legend()

# %% [markdown]
# Notice how soon the flow passes the Gaussian, which is the best that correlations alone can do.
#
# ## Samples
#
# Draw $z$ and map it back. A temperature below one draws from the denser part: likelier, less varied.

# %% tags=["thumbnail"]
generator = torch.Generator().manual_seed(1)
show_grids(
    {"photographs": real}
    | {f"drawn, temperature {t}": model.sample(64, temperature=t, generator=generator) for t in (1.0, 0.7)}
)

# %% [markdown]
# Notice flat patches, shades and rough ones side by side, as among the photographs. The edges are soft: a minute of
# training teaches what neighbouring pixels have in common, not what objects look like.
#
# All layers are convolutional, so the model is not bound to the size that it was trained on:

# %%
side = 64 if FAST else 128
_, axes = plt.subplots(1, 2, figsize=(8, 4.2))
for axis, temperature in zip(axes, (1.0, 0.7), strict=True):
    image = model.sample(1, temperature=temperature, generator=generator, image_size=(side, side))
    axis.imshow(image[0, 0].numpy(), vmin=0, vmax=1)
    axis.set_title(f"{side} x {side} pixels, temperature {temperature}")
    axis.axis("off")

# %% [markdown]
# Notice that shades run on beyond the size of a patch, though no patch showed them.
#
# ## Interpolation
#
# Since $f$ has an inverse, photographs have latents, and between latents there are paths: great circles, along which
# the length of the latent stays that of likely images.

# %%
with torch.no_grad():
    likelihood = model.log_prob(data.test.images / 255)
structured = data.test.images[likelihood.argsort()[3 * len(likelihood) // 10 :][:40]] / 255  # neither flat nor odd
first, second = structured[0::10], structured[5::10]
weights = torch.linspace(0, 1, 10)[:, None, None, None, None]
with torch.no_grad():
    paths = {
        "mixing pixels": torch.lerp(first, second, weights),
        "model.interpolate": model.interpolate(first, second, 10),
    }
show_grids({title: path.transpose(0, 1).flatten(0, 1) for title, path in paths.items()}, columns=10, side=6)

# %% [markdown]
# Notice the middle of the rows. Mixing pixels makes double exposures, faint half-way. On the path one patch turns
# into the other, and the contrast does not fade.
#
# ## What it costs
#
# The same backbone around three layers. *Inverse*: the solves are in the density direction, sampling is convolutions.
# *FInC*: the other way round. *Glow*: nothing but $1 \times 1$ convolutions. Measured on this machine, just now, in
# turns.

# %%
names = {"inverse": "Inverse-Flow", "finc": "FInC", "glow": "Glow"}
models = {name: build_flow(name, data.shape, levels=2, steps=4, width=32, seed=0) for name in names}
batch = data.train.images[: 8 if FAST else 100]
for flow in models.values():
    flow.initialise(batch / 255)
    flow.eval()


def training_step(flow):
    flow.zero_grad()
    bits_per_dim(flow, batch).mean().backward()


def density(flow):
    with torch.no_grad():
        flow.log_prob(batch / 255)


tasks = {
    f"drawing {len(batch)} images": lambda flow: flow.sample(len(batch)),
    f"density of {len(batch)} images": density,
    f"training step on {len(batch)} images": training_step,
}
_, axes = plt.subplots(1, len(tasks), figsize=(11, 2.6))
for axis, (title, task) in zip(axes, tasks.items(), strict=True):
    times = interleaved_medians(
        {names[name]: lambda task=task, flow=flow: task(flow) for name, flow in models.items()},
        seconds=0.1 if FAST else 3,
        rounds=(3, 100),
    )
    bars = axis.bar(list(times), [1e3 * t for t in times.values()], color=["C0", "C1", "C5"])
    axis.bar_label(bars, [f"{1e3 * t:.0f}" for t in times.values()])
    axis.set(title=title, ylabel="milliseconds")
    axis.margins(y=0.15)

# %% [markdown]
# Notice the first panel, the paper's point: an inverse convolution in the density direction leaves plain convolutions
# for drawing. How much that is worth depends on how fast one solves. Here both directions of a layer cost about the
# same ([notebook 1](01_inverse_convolution.ipynb)), and the flows differ less than their solvers might suggest. With
# a slow solver it is another matter, as the two directions of one layer show:

# %%
z = torch.randn((8, 8, 8, 8) if FAST else (100, 12, 16, 16), generator=generator)
layer = InverseConv2d(z.shape[1], 3, max_gain=4, generator=generator).requires_grad_(False)
calls = {
    "convolution": lambda: layer.inverse(z),
    "solve, compiled": lambda: inverse_conv2d(z, layer.weight, solver="compiled"),
    "solve, blocked": lambda: inverse_conv2d(z, layer.weight, solver="blocked"),
    "solve, pixel by pixel": lambda: inverse_conv2d(z, layer.weight, solver="reference"),
}
times = interleaved_medians(calls, seconds=0.1 if FAST else 2, rounds=(3, 100))
_, axis = plt.subplots(figsize=(7, 2.2))
bars = axis.barh(list(times), [1e3 * t for t in times.values()], color=["C0", "C1", "C1", "C1"])
axis.bar_label(bars, [f" {1e3 * t:.2f} ms" for t in times.values()])
axis.invert_yaxis()
axis.margins(x=0.15)
axis.set(xscale="log", xlabel="milliseconds", title=f"The two directions of one layer, {tuple(z.shape)}")
axis.minorticks_off()

# %% [markdown]
# Notice the logarithmic axis: solving pixel by pixel, in one direction, is what makes flows of this kind slow.
#
# **Where to go on:** [the flow as a prior for deblurring](06_flow_prior.ipynb).

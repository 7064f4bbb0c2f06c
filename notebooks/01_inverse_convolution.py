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
# # The exact inverse of a convolution
#
# A convolution usually cannot be undone: it forgets some frequencies. A *causal* one can. When a pixel of the
# result sees only itself and the pixels before it, the convolution is a triangular system of equations, and solving
# it costs about as much as applying it. This notebook shows the operator, its inverse, why the inverse runs in
# parallel, its gradient, when it is stable, and how fast it is.

# %%
# %config InlineBackend.figure_formats = ["jpeg"]
import os

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data

import deconv
from deconv.bench.growth import SERIES, measure_growth
from deconv.bench.timing import interleaved_medians
from deconv.solvers.geometry import support_mask

plt.style.use("quiet.mplstyle")
FAST = "DECONV_NOTEBOOK_FAST" in os.environ  # smaller sizes, for the tests


def show(panels, side=3.3, **options):
    """Images side by side, each under its title."""
    _, axes = plt.subplots(1, len(panels), figsize=(side * len(panels), side + 0.2), squeeze=False)
    for axis, (title, image) in zip(axes[0], panels.items(), strict=True):
        axis.imshow(np.asarray(image).squeeze(), **{"vmin": 0, "vmax": 1} | options)
        axis.set_title(title)
        axis.axis("off")


# %% [markdown]
# ## The operator
#
# With zeros outside the image, and $q$ running over the taps of the kernel $W$,
#
# $$ y[p] = \sum_q W[q]\, x[p - q], \qquad y = A x . $$
#
# Two supports make this causal. The **quarter plane** looks up and to the left. The **half plane** looks at everything
# before $p$ in raster order: rows above on both sides, the own row on the left. The tap on $p$ itself is the
# *anchor* $T$, a number for one channel and a $C \times C$ matrix for many. Unrolled in raster order, $A$ is a
# (block) lower triangular matrix with nothing but $T$ on its diagonal:

# %%
height, width = 5, 6
pixels = height * width
generator = torch.Generator().manual_seed(0)


def random_kernel(kh, kw, support, *, channels=1):
    """Small random taps around an anchor of one."""
    weight = torch.randn(channels, channels, kh, kw, generator=generator, dtype=torch.float64) * 0.3 / channels
    weight[:, :, -1, -1 if support == "quarter" else kw // 2] = torch.eye(channels)
    return weight * support_mask(kh, kw, support)


_, axes = plt.subplots(1, 2, figsize=(9, 4.4))
for axis, (support, size) in zip(axes, {"quarter": (3, 3), "half": (2, 5)}.items(), strict=True):
    weight = 1.5 * random_kernel(*size, support)
    impulses = torch.eye(pixels, dtype=torch.float64).reshape(pixels, 1, height, width)
    matrix = deconv.causal_conv2d(impulses, weight, support=support).reshape(pixels, pixels).T
    picture = torch.where(matrix == 0, torch.nan, matrix)
    axis.imshow(picture.numpy(), cmap="RdBu", vmin=-1.5, vmax=1.5)
    axis.set_title(f"{support} plane, {size[0]} x {size[1]} taps: A on a {height} x {width} image")
    axis.set(xlabel="pixel of x, in raster order", ylabel="pixel of y")
    axis.grid(False)
    print(
        f"{support:8} log|det A| = {torch.linalg.slogdet(matrix).logabsdet:.6f} from the matrix, "
        f"{deconv.causal_log_abs_det(weight, height, width, support=support):.6f} = H W log|T|"
    )

# %% [markdown]
# Notice the empty upper triangle. It has two consequences, on which everything else rests:
#
# - $A$ is invertible if and only if $T$ is, whatever the other taps are,
# - $\log|\det A| = H W \log|\det T|$: the determinant of a matrix with as many rows as there are pixels costs one
#   number.
#
# ## The inverse
#
# Solve the definition for $x[p]$, and it only needs pixels that are known already:
#
# $$ x[p] = T^{-1} \Big( y[p] - \sum_{q \neq 0} W[q]\, x[p - q] \Big) . $$
#
# Here a photograph is blurred by a causal kernel and solved for. There is no iteration, no regularisation and no
# condition at the border.

# %% tags=["thumbnail"]
side = 96 if FAST else 256
photograph = torch.from_numpy(data.camera()[60 : 60 + side, 120 : 120 + side] / np.float32(255))[None, None]

taps = torch.from_numpy(np.poly([-0.4] * 5)).float()  # (1 + 0.4 z)^5, zero only at z = -2.5, outside the unit circle
kernel = torch.outer(taps, taps).flip(0, 1)  # stored as conv2d stores kernels: the anchor comes last
kernel = (kernel / kernel.sum())[None, None]

blurred = deconv.causal_conv2d(photograph, kernel)
restored = deconv.inverse_conv2d(blurred, kernel)
error = (restored - photograph).abs().max()
show({"x": photograph, "y = A x": blurred, f"inverse_conv2d(y): largest error {error:.0e}": restored})
assert error < 1e-3

# %% [markdown]
# Notice that the restored image is sharp up to its border. The error is that of float32, amplified by the inverse;
# more on that below. Of course a real blur is neither causal nor without noise.
# [Notebook 3](03_learn_a_deconvolution_layer.ipynb) shows how two such solves deconvolve any blur.
#
# ## The wavefront
#
# Substitution looks serial, but most pixels do not wait for each other. Let a pixel be solved one step after the last
# pixel that it depends on, and count the steps:


# %%
def steps(height, width, offsets):
    """The step in which each pixel can be solved, if it needs those at the offsets (rows up, columns left)."""
    step = np.zeros((height, width), int)
    for i, j in np.ndindex(height, width):
        needed = [(i - up, j - left) for up, left in offsets]
        inside = [step[k, m] for k, m in needed if k >= 0 and 0 <= m < width]
        step[i, j] = 1 + max(inside, default=-1)
    return step


def draw_steps(axis, step, title, offsets=(), pixel=(3, 5)):
    axis.imshow(step % 6, cmap="Blues", vmin=-2, vmax=9)
    for (i, j), value in np.ndenumerate(step):
        axis.text(j, i, value, ha="center", va="center", fontsize=8)
    for up, left in offsets:
        arrow = {"arrowstyle": "->", "shrinkA": 9, "shrinkB": 9, "color": "C3", "linewidth": 1.5}
        axis.annotate("", (pixel[1], pixel[0]), (pixel[1] - left, pixel[0] - up), arrowprops=arrow)
    axis.set_title(title)
    axis.axis("off")


quarter = [(0, 1), (1, 0), (1, 1)]  # 2 x 2
half = [(0, 1), (1, 1), (1, 0), (1, -1)]  # 2 x 3, reach r = 1
rows, columns, tile = 8, 10, 2
by_quarter, by_half = steps(rows, columns, quarter), steps(rows, columns, half)
i, j = np.indices((rows, columns))
assert (by_quarter == i + j).all()
assert (by_half == 2 * i + j).all()

_, axes = plt.subplots(1, 3, figsize=(12, 3.6))
draw_steps(axes[0], by_quarter, f"quarter plane: step i + j, {by_quarter.max() + 1} in all", quarter)
draw_steps(axes[1], by_half, f"half plane: step (r + 1) i + j, {by_half.max() + 1} in all", half)
by_tiles = steps(rows // tile, columns // tile, quarter).repeat(tile, 0).repeat(tile, 1)
draw_steps(axes[2], by_tiles, f"{tile} x {tile} tiles: {by_tiles.max() + 1} steps")
axes[2].hlines(np.arange(tile, rows, tile) - 0.5, -0.5, columns - 0.5, color="white", linewidth=3)
axes[2].vlines(np.arange(tile, columns, tile) - 0.5, -0.5, rows - 0.5, color="white", linewidth=3)

# %% [markdown]
# Notice the diagonals: pixels of one number are solved at the same time, $H + W - 1$ steps in place of $H W$, on
# skewed diagonals of slope $r + 1$ for the half plane. The operator is the same everywhere, so all tiles share one
# small inverse. On an accelerator a whole diagonal of tiles, for all images of the batch, is one matrix product. On a
# CPU the lanes of the vector registers are filled with images, pixels of a row, or channels.
#
# ## The gradient
#
# Let $x = A^{-1} y$ and $g = \partial L / \partial x$. Differentiate $A x = y$:
#
# $$ v = A^{-\mathsf T} g, \qquad \frac{\partial L}{\partial y} = v, \qquad
#    \frac{\partial L}{\partial W[q]} = - \sum_p v[p]\, x[p - q]^{\mathsf T} . $$
#
# The transpose of a causal convolution is causal from the opposite corner, with the kernel's channel axes swapped.
# So the backward pass is a second solve, as parallel as the first, and stores nothing but $x$:

# %%
channels = 3
weight = random_kernel(3, 3, "quarter", channels=channels).requires_grad_()
y = torch.randn(2, channels, 9, 11, generator=generator, dtype=torch.float64, requires_grad=True)
x = deconv.inverse_conv2d(y, weight)
g = torch.randn(x.shape, generator=generator, dtype=torch.float64)
x.backward(g)

v = deconv.inverse_conv2d(g, weight.detach().transpose(0, 1), corner="br")
by_hand = torch.stack(
    [
        torch.stack(
            [-torch.einsum("bohw,bihw->oi", v[..., up:, left:], x[..., : 9 - up, : 11 - left]) for left in (2, 1, 0)]
        )
        for up in (2, 1, 0)
    ]
).permute(2, 3, 0, 1)
print(f"dL/dy: autograd and the formula differ by {(y.grad - v).abs().max():.1e}")
print(f"dL/dW: autograd and the formula differ by {(weight.grad - by_hand).abs().max():.1e}")

# %% [markdown]
# Formulas can agree and both be wrong. The judge is the definition of a derivative, here along a random direction of
# $y$ and $W$ at once:

# %%
direction = [torch.randn(t.shape, generator=generator, dtype=torch.float64) for t in (y, weight)]
slope = sum((t.grad * d).sum() for t, d in zip((y, weight), direction, strict=True))


def loss(step):
    moved = [t.detach() + step * d for t, d in zip((y, weight), direction, strict=True)]
    return (deconv.inverse_conv2d(*moved) * g).sum()


sizes = np.logspace(-8, -1, 22)
errors = [float(abs((loss(h) - loss(-h)) / (2 * h) / slope - 1)) for h in sizes]
_, axis = plt.subplots(figsize=(6, 3.4))
axis.loglog(sizes, errors, "o-", label="central differences and the gradient")
axis.loglog(sizes, errors[-8] * (sizes / sizes[-8]) ** 2, "--", color="gray", label="slope 2")
axis.set(xlabel="step h", ylabel="relative difference", title="The gradient, checked", ylim=(1e-13, None))
axis.legend()
assert min(errors) < 1e-8

# %% [markdown]
# Notice the slope: the difference falls as $h^2$, as that of a central difference to the true derivative must, until
# rounding takes over. A wrong gradient would level off far above. Since the backward pass is written with the
# operator itself, second and higher derivatives come for free.
#
# ## Stability
#
# Exact does not mean harmless. The inverse feeds its output back, and can grow from pixel to pixel. Write
# $A = T (I + N)$. If the taps off the anchor are small, $\rho = \sum |T^{-1} W| < 1$, the Neumann series bounds the
# gain for images of any size:
#
# $$ \| A^{-1} \|_\infty \le \frac{\| T^{-1} \|_\infty}{1 - \rho} . $$
#
# The gain on an image is the sum of the absolute impulse response, so one solve shows all sizes:

# %%
impulse = torch.zeros(1, 1, 128, 128, dtype=torch.float64)
impulse[..., 0, 0] = 1
sides = np.arange(1, 129)


def gains(weight):
    """Max-norm gain of the inverse on square images of each side."""
    response = deconv.inverse_conv2d(impulse, weight.double()).abs()[0, 0].numpy()
    return np.cumsum(np.cumsum(response, 0), 1).diagonal()


_, axis = plt.subplots(figsize=(7, 3.8))
for color, rho in enumerate((0.5, 0.9, 1.02, 1.2)):
    weight = -torch.tensor([[[[0.2, 0.4], [0.4, 0.0]]]]) * rho
    weight[..., -1, -1] = 1
    axis.semilogy(sides, gains(weight), f"C{color}", label=rf"$\rho$ = {rho}")
    bound = deconv.inverse_gain_bound(weight)
    if torch.isfinite(bound):
        axis.axhline(bound, color=f"C{color}", linestyle=":", linewidth=1)
axis.semilogy(sides, gains(kernel), "C5--", label="the blur above")
axis.set(
    xlabel="side of the image",
    ylabel="max-norm gain",
    title="Gain of the inverse, and its bound (dotted)",
    ylim=(0.7, 1e8),
)
axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
print(f"the blur above: bound {deconv.inverse_gain_bound(kernel):.0f}, gain {gains(kernel)[-1]:.0f} at any size")

# %% [markdown]
# Notice that below $\rho = 1$ the gain settles, and for taps of one sign it reaches the bound. Above, it grows
# exponentially with the image. The bound is sufficient, not necessary: the blur above has none, yet all the roots of
# its polynomial lie on the safe side, and its inverse is stable.
#
# Nothing fails silently. A result that is not finite is an error which names the reason:

# %%
try:
    deconv.inverse_conv2d(torch.ones(1, 1, 512, 512), torch.tensor([[[[-1.0, -1.0], [-1.0, 1.0]]]]))
except FloatingPointError as error:
    print(error)

# %% [markdown]
# The layer keeps the bound by its parametrisation, whatever an optimiser does to the parameters:

# %%
layer = deconv.InverseConv2d(4, 3, anchor="plu", max_gain=10, generator=generator)
for scale in (1, 10, 10, 1000):
    with torch.no_grad():
        layer.taps.mul_(scale)
    largest, bound = layer.taps.abs().max(), deconv.inverse_gain_bound(layer.weight)
    print(f"largest tap parameter {largest:7.3f}: gain bound {bound:.2f}, allowed {layer.max_gain}")

# %% [markdown]
# ## Speed
#
# What does it cost? The yardstick is the *fastest* of several ways to call `conv2d` on the same images, measured in
# turn with the solve on this machine, just now. A wrong solution has no time: each point is checked first.

# %%
seconds = 0.02 if FAST else 0.4
_, axes = plt.subplots(1, len(SERIES), figsize=(12, 3.5))
for axis, (variable, problems) in zip(axes, SERIES.items(), strict=True):
    chosen = [(p, value) for p, value in problems.items() if p.pixels <= 1.1e6][: 2 if FAST else None]
    points = [measure_growth(variable, value, p, None, "cpu", seconds) for p, value in chosen]
    values = [point.value for point in points]
    axis.loglog(values, [point.solve * 1e3 for point in points], "o-", label="inverse_conv2d")
    axis.loglog(values, [point.convolution * 1e3 for point in points], "s--", label="fastest conv2d")
    axis.set_xticks(values, values, rotation=45)
    axis.minorticks_off()
    axis.set(xlabel=variable, ylabel="milliseconds", title=f"growth with the {variable}")
    axis.legend()
print(f"{torch.get_num_threads()} thread(s) of the CPU")

# %% [markdown]
# Notice that the solve grows as the convolution does, linearly in pixels and taps. Several solvers stand behind the
# same function; the first one that fits is taken, and any can be asked for by name:

# %%
images = torch.randn((4, 6, 12, 12) if FAST else (16, 12, 32, 32), generator=generator)
weight = deconv.InverseConv2d(images.shape[1], 3, max_gain=4, generator=generator).weight.detach()
names = [name for name, solver in deconv.solvers.SOLVERS.items() if solver.available()[0] and name != "dense"]
times = interleaved_medians(
    {"conv2d": lambda: deconv.causal_conv2d(images, weight)}
    | {name: lambda name=name: deconv.inverse_conv2d(images, weight, solver=name) for name in names},
    seconds=seconds,
    rounds=(2, 50),
)
_, axis = plt.subplots(figsize=(7, 2.4))
bars = axis.barh(list(times), [t * 1e3 for t in times.values()], color=["C5"] + ["C0"] * len(names))
axis.bar_label(bars, [f" {t * 1e3:.2f} ms" for t in times.values()])
axis.invert_yaxis()
axis.set(xscale="log", xlabel="milliseconds", title=f"3 x 3 taps on a batch of {tuple(images.shape)}")
axis.margins(x=0.15)

# %% [markdown]
# Notice the logarithmic axis. `reference` is substitution pixel by pixel in Python: the yardstick for correctness.
# `blocked` is the wavefront over tiles in plain torch, for any device. `compiled` is machine code for this CPU, and as
# quick as the convolution.
#
# **Where to go on:** [photographs with a known blur](02_deblur_known_psf.ipynb),
# [a deconvolution layer that learns](03_learn_a_deconvolution_layer.ipynb).

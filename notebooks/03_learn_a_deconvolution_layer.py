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
# # From the Wiener filter to a deconvolution layer that learns
#
# [Notebook 1](01_inverse_convolution.ipynb) inverts *causal* convolutions exactly. Real blur is not causal. Yet Wiener
# deconvolution, of any blur, is two such inverses. This notebook derives Wiener deconvolution as two exact solves, and
# lets them learn from pictures what no formula knows.

# %%
# %config InlineBackend.figure_formats = ["jpeg"]
import copy
import os

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data

import deconv
from deconv.imaging import crop, valid_margins

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
# ## The Wiener filter
#
# For the blur $h$ of transfer function $H$ and the noise-to-signal ratio $\lambda$, the linear estimate of least mean
# square error multiplies the spectrum of the observation by
#
# $$ \frac{\bar H}{R}, \qquad R = |H|^2 + \lambda . $$
#
# The numerator is a correlation with $h$. The work is to divide by $R$, which is positive everywhere.
#
# ## Its causal factor
#
# In one dimension every positive $R$ is $|P|^2$ with a causal $p$ whose inverse is causal too. In two dimensions the
# same holds, with the half plane in the place of "the past". The recipe takes a logarithm, which turns the product
# into a sum that can be cut in half (Ekstrom and Woods, 1976):
#
# 1. the *cepstrum* of $R$: the inverse Fourier transform of $\log R$; it is even,
# 2. keep its causal half, and half of the term at zero,
# 3. transform, exponentiate, transform back.

# %%
psf = deconv.imaging.psf.camera_shake(11, seed=1).double()
noise_to_signal = 0.01

n = 256
R = torch.fft.fft2(psf, s=(n, n)).abs().square() + noise_to_signal
cepstrum = torch.fft.ifft2(R.log()).real

past = torch.zeros(n, n, dtype=torch.float64)
past[1 : n // 2] = 1  # the rows before
past[0, 1 : n // 2] = 1  # the row itself, to one side
past[0, 0] = 0.5
P = torch.fft.fft2(past * cepstrum).exp()
response = torch.fft.ifft2(P).real

print(f"|P|^2 equals R to {((P.abs().square() - R) / R).abs().max():.0e}")
factor = deconv.spectral_factor(psf, noise_to_signal)  # the package's own
rows, columns = factor.shape
taps = torch.roll(response, columns // 2, 1)[:rows, :columns].flip(0, 1)
print(
    f"the package's factor differs from these lines by {(factor - taps).abs().max() / factor.max():.0e} of its anchor"
)

window = slice(n // 2 - 16, n // 2 + 17)
centred = torch.fft.fftshift(cepstrum)[window, window]
kept = torch.fft.fftshift(past * cepstrum)[window, window]
limits = {"vmin": -0.15, "vmax": 0.15, "cmap": "RdBu"}
spectrum = (torch.fft.fftshift(R) / R.min()).log()
show({"h": psf / psf.max(), "log R, low frequencies in the middle": spectrum / spectrum.max()}, columns=2, side=2.5)
show(
    {"cepstrum: even": centred, "its causal half": kept, "the factor p, anchor below": factor / factor.max()}, **limits
)

# %% [markdown]
# Notice how few taps the factor needs. It is stored as every kernel here, delays counted backwards: the anchor is in
# the middle of the last row, above it and to the left are the taps on the pixels before. Since $P$ is the exponential
# of the causal cepstrum $\hat c$, it never vanishes, and $1 / P = \exp(-\hat c)$ is causal as well: the solve is
# stable.
#
# ## Wiener deconvolution is two solves
#
# $$ x = A_p^{-\mathsf T} A_p^{-1} (h \star y) $$
#
# Correlate with $h$, then solve from the top left corner, then from the bottom right one. There is no Fourier transform
# of the image and no circular border. Here is each stage, on an observation whose margins fade to its mean, and a
# comparison with the filter by Fourier transforms on the same padded domain.

# %%
side = 160 if FAST else 320
sharp = torch.from_numpy(data.camera()[30 : 30 + side, 110 : 110 + side] / 255.0)[None, None]
observed = deconv.degrade(sharp, psf, noise=0.01, seed=0)
mean = observed.mean()
margins = ((64, 64), (64, 64))
padded = deconv.imaging.boundary.fade(deconv.imaging.extend(observed - mean, margins), margins)

correlated = deconv.imaging.convolve_adjoint(padded, psf, boundary="zero")
once = deconv.inverse_conv2d(correlated, factor[None, None], support="half", corner="tl")
twice = deconv.inverse_conv2d(once, factor[None, None], support="half", corner="br")

size = padded.shape[-2:]
transfer = deconv.imaging.psf_to_otf(psf, size)
quotient = transfer.conj() / (transfer.abs().square() + noise_to_signal)
wiener = torch.fft.irfft2(torch.fft.rfft2(padded) * quotient, s=size)
agreement = deconv.psnr(crop(twice, margins), crop(wiener, margins))
print(f"two solves and Fourier transforms agree to {float(agreement):.0f} dB")
show(
    {
        "observed y": observed,
        "after the first solve": 0.5 + crop(once, margins) / (4 * once.std()),
        "after the second: the Wiener filter": crop(twice, margins) + mean,
    }
)

# %% [markdown]
# Notice the smear to one side after the first solve: it divides by $P$ and sees only the past of each pixel, the
# second one divides by $\bar P$ and sees only its future. Together they divide by $R$.
#
# ## A layer
#
# `RecursiveDeconv2d` is this filter with two things to learn: the numerator $n$, which starts as $h$, and a causal
# cepstrum $c$ which starts at zero and changes the factor to
#
# $$ P \, e^{\hat c} . $$
#
# This is the parametrisation in which gradient descent cannot break the layer: an exponential of anything causal is
# causal, never vanishes, and has a causal inverse. So whatever $c$ is, both solves stay stable, without a constraint.
# The gradients are those of notebook 1: each backward pass is two more solves.
#
# What is there to learn? The formula takes the spectrum of the latent image for flat, the noise for known and the
# frame for endless. The best *linear* filter for pictures is another one, and pictures know which. The lessons are
# six photographs; the examination is another one.

# %%
lessons = ("camera", "chelsea", "coffee", "rocket", "moon", "brick")
kernel = psf.float()


def photograph(name, side):
    """The middle of one of scikit-image's photographs, in grey, (1, 1, side, side)."""
    image = np.atleast_3d(getattr(data, name)()).mean(-1) / 255
    top, left = ((length - side) // 2 for length in image.shape)
    return torch.from_numpy(image[top : top + side, left : left + side]).float()[None, None]


def lesson(sharp, seed):
    """What a shaken camera records, and the part of the sharp image that it shows."""
    return deconv.degrade(sharp, kernel, noise=0.01, seed=seed), crop(sharp, valid_margins(kernel.shape))


pairs = [lesson(photograph(name, 80 if FAST else 176), seed) for seed, name in enumerate(lessons, start=1)]
observed, truth = (torch.cat(images) for images in zip(*pairs, strict=True))
unseen, unseen_truth = lesson(photograph("astronaut", 128 if FAST else 400), seed=0)


@torch.no_grad()
def quality(layer):
    """PSNR on the photograph that nothing is learnt from."""
    return float(deconv.psnr(layer(unseen), unseen_truth))


def learn(layer, max_iter):
    """Fit the layer to the lessons in the mean square; PSNR on them and on the unseen photograph, along the way."""
    # Few parameters and no minibatches: a quasi-Newton method needs dozens of passes where Adam takes hundreds.
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=max_iter, line_search_fn="strong_wolfe")
    history = []

    def closure():
        optimizer.zero_grad()
        loss = (layer(observed) - truth).square().mean()
        loss.backward()
        history.append((-10 * np.log10(loss.item()), quality(layer)))
        return loss

    optimizer.step(closure)
    return np.array(history).T


def draw(axis, history, title):
    for values, label in zip(history, ("the lessons", "a photograph not seen"), strict=True):
        axis.plot(values, label=label)
    axis.set(xlabel="evaluations of the gradient", ylabel="PSNR, dB", title=title)
    axis.legend()


textbook = deconv.RecursiveDeconv2d.from_psf(kernel, noise_to_signal)
learnt = copy.deepcopy(textbook)
history = learn(learnt, 3 if FAST else 40)

numbers = sum(p.numel() for p in learnt.parameters())
draw(plt.subplots(figsize=(6.5, 3))[1], history, f"Learning {numbers} parameters")

# %% [markdown]
# Notice that the photograph not seen gains as well: so few parameters do not learn pictures by heart.

# %%
detail = np.s_[..., 30:250, 90:310] if not FAST else np.s_[...]


def captioned(name, image):
    return {f"{name}: {float(deconv.psnr(image, unseen_truth)):.2f} dB": image[detail]}


with torch.no_grad():
    show(
        captioned("observed", unseen)
        | captioned("textbook's Wiener filter", textbook(unseen))
        | captioned("learnt", learnt(unseen))
    )

# %% [markdown]
# Notice the grain that the learnt filter no longer lets through.
#
# ## What was learnt
#
# A linear filter shows itself in its response to one bright pixel. Here is the gain of each filter, that is the
# transform of this response, beside that of a third one: the Wiener filter which is told how the spectra of photographs
# fall, $R = |H|^2 + \lambda (g + g^2)$ with $g$ the transfer function of the squared gradient.

# %%
told = deconv.RecursiveDeconv2d.from_psf(kernel, noise_to_signal, spectrum="natural")
impulse = torch.zeros(1, 1, 256, 256)
impulse[..., 128, 128] = 1
frequencies = torch.fft.rfftfreq(256)

_, axes = plt.subplots(1, 2, figsize=(12, 3.3), sharey=True)
for name, layer in {"textbook": textbook, "learnt": learnt, "told of photographs": told}.items():
    with torch.no_grad():
        gain = torch.fft.fft2(layer(impulse))[0, 0].abs()
    for axis, curve in zip(axes, (gain[0, :129], gain[:129, 0]), strict=True):
        axis.plot(frequencies[1:], curve[1:], label=f"{name}: {quality(layer):.2f} dB")
for axis, direction in zip(axes, ("horizontal", "vertical"), strict=True):
    axis.set(xlabel=f"{direction} frequency, cycles a pixel", ylabel="gain", title=f"Gain of the filter, {direction}")
axes[1].legend(title="photograph not seen", loc="upper left", bbox_to_anchor=(1, 1))

# %% [markdown]
# Notice how the learnt gain falls where that of the textbook goes on. Nobody told the layer about photographs. It has
# found out by itself that high frequencies hold little but noise, and
# scores about as high as the filter that was told.
#
# ## What no formula knows
#
# Formulas need the blur. A layer needs pairs. So start it from a wrong blur, a round Gaussian, and let it learn from
# the same lessons:

# %% tags=["thumbnail"]
wrong = deconv.RecursiveDeconv2d.from_psf(deconv.imaging.psf.gaussian(2.0, kernel.shape[0]), 5 * noise_to_signal)
start = wrong.numerator.detach().clone()
with torch.no_grad():
    panels = captioned("the wrong blur's filter", wrong(unseen))
history = learn(wrong, 3 if FAST else 60)
draw(plt.subplots(figsize=(6.5, 3))[1], history, "Learning from a wrong start")
with torch.no_grad():
    show(panels | captioned("after learning", wrong(unseen)) | {"latent image": unseen_truth[detail]})
    numerators = {"n at first": start, "n, learnt": wrong.numerator, "the true blur": kernel}
    show({name: n / n.max() for name, n in numerators.items()}, columns=3, side=2.2)

# %% [markdown]
# Notice that the layer ends where the one did that knew the blur. In the learnt numerator the path of the shaken
# camera appears, which nobody has told it either.
#
# The best linear filter is still linear: `deconv.hyper_laplacian`, for one, restores this photograph to
# the figure below. But the layer is two solves, quick and differentiable, and can be a part of a larger network.

# %%
restored = deconv.hyper_laplacian(unseen, kernel)
print(f"hyper_laplacian, given the true blur: {float(deconv.psnr(restored, unseen_truth)):.2f} dB")

# %% [markdown]
# **Where to go on:** [finding the blur of a photograph without pairs](04_blind_kernel_estimation.ipynb),
# [the same solve as the core of a normalizing flow](05_train_inverse_flow.ipynb).

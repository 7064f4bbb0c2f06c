r"""Blur as an operator: true convolution with a centred psf, its adjoint, and its transfer function.

The blurred image is

.. math:: y[p] = \sum_k h[k]\, x[p + c - k], \qquad c = \lfloor (s - 1) / 2 \rfloor

per axis, where s is the size of the psf h along that axis. Nobody flips the psf, and its centre moves nothing: one that
is 1 at c and 0 elsewhere returns the image. `valid_margins` says how much of the image's frame the valid part of the
blur loses on each side.

Everything here works on tensors, in two or in three spatial dimensions: a psf `(kh, kw)` blurs images `(B, C, H, W)`, a
psf `(kd, kh, kw)` blurs volumes `(B, C, D, H, W)`, and one with two leading axes, each of the image's size or 1, blurs
each sample and channel by its own. All functions are differentiable in image and psf.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .boundary import BlurBoundary, check_blur_boundary, crop, extend, source_index

__all__ = ["convolve", "convolve_adjoint", "fast_length", "psf_to_otf", "valid_margins"]

# Up to so many taps the direct sum beats the FFT on a CPU, at any image size from 28 x 28 to 2048 x 2048.
_DIRECT_TAPS = 25


def convolve(image: Tensor, psf: Tensor, *, boundary: BlurBoundary = "valid") -> Tensor:
    """Blur `image` with `psf`.

    Parameters
    ----------
    image : Tensor
        `(B, C, H, W)`, or `(B, C, D, H, W)` for a three-dimensional psf; floating point, any range.
    psf : Tensor
        `(kh, kw)`, `(kd, kh, kw)`, or either one behind two axes that broadcast against B and C.
    boundary : {"valid", "circular", "reflect", "replicate", "zero"}
        What lies outside the frame. ``"valid"``: nothing is assumed, the result is the part that needs no outside,
        `H - kh + 1` rows high; ``"circular"``: the image repeats; ``"reflect"``: mirrored about the edge pixel, which
        is not repeated; ``"replicate"``: the edge pixel goes on; ``"zero"``: zeros. The result of these has the
        image's size.

    Returns
    -------
    Tensor
        Of the image's dtype and device. Half precision is computed in float32.

    Raises
    ------
    ValueError
        Unknown boundary, shapes that do not fit, or a psf larger than the image when only the valid part is asked for.
    TypeError
        An image or a psf that is not a floating-point tensor.

    Examples
    --------
    >>> import torch
    >>> image = torch.zeros(1, 1, 5, 5); image[..., 2, 2] = 1
    >>> psf = torch.tensor([[0.0, 0.25, 0.75]])
    >>> convolve(image, psf, boundary="zero")[0, 0, 2]
    tensor([0.0000, 0.0000, 0.2500, 0.7500, 0.0000])
    """
    space = _check(image, psf, boundary)
    image, psf, dtype = _in_working_precision(image, psf)
    size = psf.shape[-space:]
    if boundary == "valid":
        for n, s in zip(image.shape[2:], size, strict=True):
            if s > n:
                raise ValueError(
                    f"psf: the size {tuple(size)} exceeds the image's, {tuple(image.shape[2:])}, so no pixel "
                    "is free of the outside: give a smaller psf or another boundary"
                )
        blurred = _valid(image, psf)
    elif boundary == "circular" and not _direct_is_faster(image, psf):
        blurred = _filter(image, psf_to_otf(psf, image.shape[2:]), image.shape[2:])
    else:
        blurred = _valid(extend(image, valid_margins(size), method=boundary), psf)
    return blurred.to(dtype)


def convolve_adjoint(image: Tensor, psf: Tensor, *, boundary: BlurBoundary = "valid") -> Tensor:
    """Transpose of `convolve`: ``<convolve(x), y> == <x, convolve_adjoint(y)>`` for every x and y.

    Parameters
    ----------
    image, psf : Tensor
        As for `convolve`.
    boundary : {"valid", "circular", "reflect", "replicate", "zero"}
        As for `convolve`.

    Returns
    -------
    Tensor
        Of the image's size; for ``"valid"`` larger by ``kh - 1`` rows and ``kw - 1`` columns.
    """
    space = _check(image, psf, boundary)
    image, psf, dtype = _in_working_precision(image, psf)
    size = psf.shape[-space:]
    if boundary == "circular" and not _direct_is_faster(image, psf):
        return _filter(image, psf_to_otf(psf, image.shape[2:]).conj(), image.shape[2:]).to(dtype)
    full = F.pad(image, [side for s in reversed(size) for side in (s - 1, s - 1)])
    spread = _valid(full, psf.flip(tuple(range(-space, 0))))
    return _pad_adjoint(spread, size, boundary).to(dtype)


def psf_to_otf(psf: Tensor, shape: Sequence[int]) -> Tensor:
    """Optical transfer function: the real FFT of `psf` on a periodic grid, its centre at the origin.

    Parameters
    ----------
    psf : Tensor
        Real; its last ``len(shape)`` axes are the psf's, two or three of them.
    shape : sequence of int
        The grid, `(H, W)` or `(D, H, W)`. A psf larger than the grid wraps around it, as a periodic blur does.

    Returns
    -------
    Tensor
        Complex, as of ``torch.fft.rfftn(..., s=shape)``: its last axis has ``W // 2 + 1`` entries. Multiplying by it
        blurs without moving the image.
    """
    shape = tuple(int(n) for n in shape)
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(f"shape: expected two or three positive sizes, given {shape}")
    if psf.ndim < len(shape):
        raise ValueError(f"psf: {psf.ndim} axes are too few for a grid of shape {shape}")
    for axis, n in zip(range(-len(shape), 0), shape, strict=True):
        s = psf.shape[axis]
        place = (torch.arange(s, device=psf.device) - (s - 1) // 2) % n  # several taps in one place where s > n
        grid = psf.new_zeros([n if a == axis % psf.ndim else m for a, m in enumerate(psf.shape)])
        psf = grid.index_add(axis, place, psf)
    return torch.fft.rfftn(psf, dim=tuple(range(-len(shape), 0)))


def valid_margins(size: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """What a frame loses on each side when only the valid part of the blur is kept.

    Parameters
    ----------
    size : sequence of int
        The psf's, `(kh, kw)` or `(kd, kh, kw)`.

    Returns
    -------
    tuple of pairs of int
        ``((top, bottom), (left, right))``: ``image[top : H - bottom, left : W - right]`` lies under
        ``convolve(image, psf, boundary="valid")``.

    Examples
    --------
    >>> valid_margins((5, 4))
    ((2, 2), (2, 1))
    """
    return tuple((s // 2, (s - 1) // 2) for s in size)


def fast_length(n: int) -> int:
    """The smallest even length of at least `n` whose only prime factors are 2, 3 and 5: quick for a real FFT.

    Parameters
    ----------
    n : int
        The length needed.

    Returns
    -------
    int

    Examples
    --------
    >>> [fast_length(n) for n in (1, 13, 509, 1000)]
    [2, 16, 512, 1000]
    """
    length = max(2, n + n % 2)
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2


def _check(image: Tensor, psf: Tensor, boundary: str) -> int:
    """Refuse what makes no sense; return the number of spatial dimensions."""
    check_blur_boundary(boundary)
    for name, tensor in (("image", image), ("psf", psf)):
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            given = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"{name}: expected a floating-point tensor, given {given}")
    if image.ndim not in (4, 5):
        raise ValueError(f"image: expected (B, C, H, W) or (B, C, D, H, W), given the shape {tuple(image.shape)}")
    space = image.ndim - 2
    if psf.ndim not in (space, space + 2) or 0 in psf.shape:
        raise ValueError(
            f"psf: the shape {tuple(psf.shape)} does not fit an image of shape {tuple(image.shape)}: "
            f"expected {space} axes, or {space + 2} to give each sample and channel its own"
        )
    if psf.ndim == space + 2:
        for name, given, there in (
            ("samples", psf.shape[0], image.shape[0]),
            ("channels", psf.shape[1], image.shape[1]),
        ):
            if given not in (1, there):
                raise ValueError(f"psf: made for {given} {name}, the image has {there}")
    return space


def _in_working_precision(image: Tensor, psf: Tensor) -> tuple[Tensor, Tensor, torch.dtype]:
    """Both in one dtype, float32 at least, and the dtype to go back to."""
    working = torch.promote_types(image.dtype, torch.float32)
    return image.to(working), psf.to(image.device, working), image.dtype


def _direct_is_faster(image: Tensor, psf: Tensor) -> bool:
    """On accelerators the FFT is always taken: there a direct sum may be rounded to ten bits (TF32)."""
    return image.device.type == "cpu" and psf.shape[2 - image.ndim :].numel() <= _DIRECT_TAPS


def _valid(image: Tensor, psf: Tensor) -> Tensor:
    if _direct_is_faster(image, psf):
        return _direct(image, psf)
    size, frame = psf.shape[2 - image.ndim :], image.shape[2:]
    # What wraps around falls into the margins, which are cut off, so any grid from the frame's size on will do.
    blurred = _filter(image, psf_to_otf(psf, grid := [fast_length(n) for n in frame]), grid)
    for axis, (n, (before, after)) in enumerate(zip(frame, valid_margins(size), strict=True), start=2):
        blurred = blurred.narrow(axis, before, n - before - after)
    return blurred


def _direct(image: Tensor, psf: Tensor) -> Tensor:
    """Valid convolution as a sum over the taps: one group per sample and channel, each with its own psf."""
    batch, channels, *frame = image.shape
    size = psf.shape[2 - image.ndim :]
    taps = psf.flip(tuple(range(-len(size), 0))).expand(batch, channels, *size).reshape(-1, 1, *size)
    conv = F.conv2d if len(size) == 2 else F.conv3d
    with torch.autocast(image.device.type, enabled=False):
        blurred = conv(image.reshape(1, -1, *frame), taps, groups=batch * channels)
    return blurred.reshape(batch, channels, *blurred.shape[2:])


def _filter(image: Tensor, otf: Tensor, grid: Sequence[int]) -> Tensor:
    """Multiply by a transfer function on its grid; zeros fill what the image leaves of it."""
    axes, grid = tuple(range(2, image.ndim)), tuple(grid)
    return torch.fft.irfftn(torch.fft.rfftn(image, s=grid, dim=axes) * otf, s=grid, dim=axes)


def _pad_adjoint(padded: Tensor, size: Sequence[int], boundary: BlurBoundary) -> Tensor:
    """Transpose of continuing an image so far that the valid part of its blur has its size: what was copied out of a
    pixel is summed back into it."""
    margins = valid_margins(size)
    if boundary == "valid":
        return padded
    if boundary == "zero":
        return crop(padded, margins)
    for axis, (before, after) in enumerate(margins, start=2):
        if before + after:
            inside = padded.narrow(axis, before, padded.shape[axis] - before - after)
            source = source_index(inside, axis, before, after, boundary)
            padded = torch.zeros_like(inside).index_add(axis, source, padded)
    return padded

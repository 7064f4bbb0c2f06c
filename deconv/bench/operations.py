"""The operations that the solver benchmark compares, as functions without arguments, and the proof that they work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

import deconv

from .shapes import SolveCase

__all__ = ["Accuracy", "Operands", "accuracy", "convolutions", "solution"]


@dataclass(frozen=True)
class Operands:
    """Images, kernel, and a gradient to send back."""

    case: SolveCase
    images: Tensor
    weight: Tensor
    gradient: Tensor

    @classmethod
    def of(cls, case: SolveCase, device: str = "cpu") -> Operands:
        return cls(
            case,
            case.images(seed=1).to(device),
            case.weight(seed=0).to(device),
            case.images(seed=2).to(device),
        )

    def double(self) -> Operands:
        return Operands(self.case, self.images.double(), self.weight.double(), self.gradient.double())


def solution(operands: Operands, solver: str | None) -> tuple[Callable[[], Tensor], Callable[[], tuple[Tensor, ...]]]:
    """Solving, and solving with both gradients, as a user calls it.

    On an accelerator without the look at the result, which waits for the device as no convolution does.
    """
    options = {"support": operands.case.support, "solver": solver, "check_finite": not operands.images.is_cuda}

    def solve(images: Tensor, weight: Tensor) -> Tensor:
        return deconv.inverse_conv2d(images, weight, **options)

    return (lambda: solve(operands.images, operands.weight)), _with_gradients(solve, operands)


def convolutions(
    operands: Operands,
) -> dict[str, tuple[Callable[[], Tensor], Callable[[], tuple[Tensor, ...]]]]:
    """The variants of `conv2d` with as many products and as large a result as the causal convolution has.

    Padding by `pad`, or by the argument (symmetric, hence not causal, at the same cost; not for even sizes); images
    in the memory format that they come in, or converted to channels-last and back.
    """
    case = operands.case
    symmetric = case.kernel_height // 2, case.kernel_width // 2

    def with_argument(images: Tensor, weight: Tensor) -> Tensor:
        return conv2d(images, weight, padding=symmetric)

    def with_pad(images: Tensor, weight: Tensor) -> Tensor:
        return conv2d(pad(images, case.padding), weight)

    def channels_last(convolve: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        def converted(images: Tensor, weight: Tensor) -> Tensor:
            result = convolve(
                images.contiguous(memory_format=torch.channels_last),
                weight.contiguous(memory_format=torch.channels_last),
            )
            return result.contiguous()

        return converted

    variants = {"padded": with_pad, "padded, channels last": channels_last(with_pad)}
    if case.kernel_height % 2 and case.kernel_width % 2:
        variants |= {"padding argument": with_argument, "padding argument, channels last": channels_last(with_argument)}
    return {
        name: (
            lambda variant=variant: variant(operands.images, operands.weight),
            _with_gradients(variant, operands),
        )
        for name, variant in variants.items()
    }


def _with_gradients(
    function: Callable[[Tensor, Tensor], Tensor], operands: Operands
) -> Callable[[], tuple[Tensor, ...]]:
    images = operands.images.detach().requires_grad_()
    weight = operands.weight.detach().requires_grad_()

    def run() -> tuple[Tensor, ...]:
        result = function(images, weight)
        return (result.detach(), *torch.autograd.grad(result, (images, weight), operands.gradient))

    return run


@dataclass(frozen=True)
class Accuracy:
    """Relative errors in the max norm: of the solution and of the worse gradient, against float64.

    residual: that of the float64 results in the equations that define them, which need no solver.
    """

    solution: float
    gradient: float
    residual: float

    @property
    def correct(self) -> bool:
        return self.solution < 1e-5 and self.gradient < 1e-4 and self.residual < 1e-11


def accuracy(operands: Operands, solver: str | None) -> Accuracy:
    """Compare a solver's float32 results with its float64 results, and those with plain convolutions.

    With ``A`` the causal convolution, ``x = A^-1 y`` and ``g`` the gradient of `x`: ``A x = y``, the gradient `v` of
    `y` satisfies ``A^T v = g``, and the gradient of the kernel is minus that of ``<v, A x>``.
    """
    exact = operands.double()
    single = solution(operands, solver)[1]()
    double = solution(exact, solver)[1]()

    x = double[0].requires_grad_()
    weight = exact.weight.detach().requires_grad_()
    again = deconv.causal_conv2d(x, weight, support=operands.case.support)
    gradient, dweight = torch.autograd.grad(again, (x, weight), double[1])
    pairs = ((again, exact.images), (gradient, exact.gradient), (-dweight, double[2]))
    return Accuracy(
        solution=_distance(single[0], double[0]),
        gradient=max(_distance(single[1], double[1]), _distance(single[2], double[2])),
        residual=max(_distance(a, b) for a, b in pairs),
    )


def _distance(value: Tensor, reference: Tensor) -> float:
    return float((value.detach().double() - reference.detach()).abs().max() / reference.detach().abs().max())

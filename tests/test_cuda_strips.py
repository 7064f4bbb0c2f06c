"""The CUDA kernels that solve by strips, compiled for a CPU with warps of 32 lanes and clusters."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from cases import CASES, LARGE_CASES, Case
from cuda_shim.on_cpu import COMPILER, WIDE_CPU, Library, planned, shared_folder
from deconv_gpu.operands import describe
from deconv_gpu.strip_plan import StripPlan, cut_strips

from deconv.solvers.geometry import opposite, transpose_weight
from deconv.solvers.reference import solve as reference

pytestmark = pytest.mark.skipif(COMPILER is None, reason="the kernels run on a CPU where there is g++: none found")

# Strips of which the last is low or empty, all shares of taps, half planes, one column, several groups.
MORE_CASES = [
    Case(2, 12, 13, 6, (3, 3), corner="bl"),
    Case(1, 4, 9, 11, (3, 5), support="half", corner="br"),
    Case(1, 12, 11, 5, (2, 3), support="half", corner="tr"),
    Case(1, 8, 10, 1, (3, 2)),
    Case(1, 4, 1, 9, (1, 4)),
    Case(1, 6, 17, 7, (5, 5), corner="tr"),
    Case(1, 32, 6, 3, (2, 2), groups=2, corner="bl"),
]
TABLE = [case for case in (*CASES, *LARGE_CASES) if 4 <= case.channels // case.groups <= 16] + MORE_CASES
TALL = MORE_CASES[0]
IDS = {"ids": str}
EMPTY = torch.tensor(0x7FDECADE, dtype=torch.int32).view(torch.float32)


def operands(case: Case, **options) -> tuple[torch.Tensor, torch.Tensor]:
    return case.image(torch.float32, **options), case.weight(torch.float32)


def plans(case: Case) -> list[StripPlan]:
    """For one to eight strips, with the matrices made by each block, and before."""
    shape = describe(*operands(case), case.support, case.groups)
    found = [cut_strips(shape, WIDE_CPU, cluster) for cluster in (1, 2, 4, 8)]
    return [replace(plan, fused=plan.strip.cluster < 4) for plan in found if isinstance(plan, StripPlan)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return shared_folder(tmp_path_factory)


@pytest.fixture(scope="module")
def library(folder) -> Library:
    """All shapes that the tests need, compiled once."""
    return Library({plan.strip for case in TABLE for plan in plans(case)}, folder, warp=32)


@pytest.fixture(autouse=True)
def _poisoned_memory():
    """Fresh tensors hold NaN, and so does shared memory, so that reading either before it is written shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def exact(y: torch.Tensor, weight: torch.Tensor, case: Case) -> torch.Tensor:
    return reference(y.double(), weight.double(), **case.options)


@pytest.mark.parametrize("case", TABLE, **IDS)
def test_every_number_of_strips_gives_the_solution(case, library):
    y, weight = operands(case)
    kept, expected = (y.clone(), weight.clone()), exact(y, weight, case)
    results = [library.run(plan, y, weight, **case.options) for plan in plans(case)]
    assert relative(results[0], expected) < 2e-6
    assert all(torch.equal(x, results[0]) for x in results)  # the order of all sums is fixed
    assert results[0].is_contiguous()
    assert torch.equal(y, kept[0])
    assert torch.equal(weight, kept[1])


def test_they_are_what_is_chosen():
    for case in TABLE:
        assert isinstance(planned(*operands(case), case.support, case.groups, WIDE_CPU), StripPlan)


@pytest.mark.parametrize("case", MORE_CASES[:3], **IDS)
def test_transposed_kernel_gives_the_adjoint(case, library):
    (y, weight), g = operands(case), case.image(torch.float32, seed=3)
    transposed, turned = transpose_weight(weight, case.groups), case.options | {"corner": opposite(case.corner)}
    for plan in plans(case):
        x, v = library.run(plan, y, weight, **case.options), library.run(plan, g, transposed, **turned)
        assert torch.isclose((x.double() * g).sum(), (y.double() * v).sum(), rtol=1e-5)


def test_the_number_of_resident_blocks_does_not_matter(library):
    y, weight = operands(TALL)
    for plan in plans(TALL):
        alone = library.run(plan, y, weight, **TALL.options, together=1)
        assert torch.equal(library.run(plan, y, weight, **TALL.options, together=16), alone)


def test_strides_are_taken_as_they_are(library):
    y, weight = operands(TALL)
    plan = plans(TALL)[1]
    expected = library.run(plan, y, weight, **TALL.options)
    wide = torch.zeros(*y.shape[:3], 2 * TALL.width)
    wide[..., ::2] = y
    odd_weight = weight.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    for same in (y.contiguous(memory_format=torch.channels_last), y.mT.contiguous().mT, wide[..., ::2]):
        for kernel in (weight, odd_weight):
            assert torch.equal(library.run(plan, same, kernel, **TALL.options), expected)


def test_singular_anchor_gives_nan(library):
    """There is nobody to raise on a GPU. (The public functions look at the solution, and raise.)"""
    y, weight = operands(TALL)
    for plan in plans(TALL):
        for bad in (0.0, torch.nan, torch.inf):
            broken = weight.clone()
            broken[0, :, -1, -1] = bad
            assert library.run(plan, y, broken, **TALL.options).isnan().all()


def test_badly_conditioned_anchor_is_inverted_exactly(library):
    """In single precision alone the inverse of an anchor of condition 1e5 is wrong in its third digit."""
    y, weight = operands(TALL)
    generator = torch.Generator().manual_seed(5)
    left, right = (torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64)).Q for _ in range(2))
    weight[:, :, -1, -1] = (left * torch.logspace(0, -5, 12, dtype=torch.float64)) @ right
    weight[:, :, :-1] *= 1e-5
    weight[:, :, -1, :-1] *= 1e-5
    assert relative(library.run(plans(TALL)[0], y, weight, **TALL.options), exact(y, weight, TALL)) < 1e-5


def test_rows_are_handed_over_whatever_nan_they_hold(library, folder):
    """What has not come yet is told by the bits of a NaN. Data may hold that very NaN: it is handed over as another."""
    y, weight = operands(TALL)
    y[0, 3, 2, 3] = y[1, 0, 0, 0] = EMPTY
    plan = plans(TALL)[2]
    x, expected = library.run(plan, y, weight, **TALL.options), exact(y, weight, TALL)
    assert torch.equal(x.isnan(), expected.isnan())
    assert 0 < x.isnan().sum() < x.numel()
    assert relative(x[~x.isnan()], expected[~x.isnan()]) < 2e-6
    assert library.run(plan, y, torch.full_like(weight, EMPTY), **TALL.options).isnan().all()

    as_it_is = ("__float_as_uint(value) == EMPTY ? NAN : value", "value")
    with pytest.raises(AssertionError, match="waits for ever"):
        Library([plan.strip], folder, warp=32, edit=as_it_is).run(plan, y, weight, **TALL.options)

"""The CUDA kernels for devices with clusters, compiled for a CPU, with warps of 32 lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from cases import CASES, LARGE_CASES, Case, relative
from cuda_shim.on_cpu import COMPILER, WIDE_CPU, Library, planned, shared_folder
from deconv_gpu.launch import Plan
from deconv_gpu.operands import describe
from deconv_gpu.product_plan import ProductPlan
from deconv_gpu.row_plan import RowPlan, row_shapes
from deconv_gpu.strip_plan import StripPlan, cut_strips

from deconv.solvers.geometry import opposite, transpose_weight
from deconv.solvers.reference import solve as reference

pytestmark = [
    pytest.mark.usefixtures("poisoned_memory"),
    pytest.mark.skipif(COMPILER is None, reason="the kernels run on a CPU where there is g++: none found"),
]

EMPTY = torch.tensor(0x7FDECADE, dtype=torch.int32).view(torch.float32)

# Strips of which the last is low or empty, all shares of taps, half planes, one column, several groups.
STRIP_CASES = [
    Case(2, 12, 13, 6, (3, 3), corner="bl"),
    Case(1, 4, 9, 11, (3, 5), support="half", corner="br"),
    Case(1, 12, 11, 5, (2, 3), support="half", corner="tr"),
    Case(1, 8, 10, 1, (3, 2)),
    Case(1, 4, 1, 9, (1, 4)),
    Case(1, 6, 17, 7, (5, 5), corner="tr"),
    Case(1, 32, 6, 3, (2, 2), groups=2, corner="bl"),
]
# More strips than blocks, strips lower than the kernel, so that two of them see a third; kernels for helping warps.
ROW_CASES = [
    Case(1, 1, 70, 9, (12, 3), corner="bl"),
    Case(1, 1, 67, 13, (4, 5), support="half", corner="tr"),
    Case(2, 2, 18, 10, (5, 4), corner="br"),
    Case(1, 3, 21, 12, (5, 3)),
    Case(1, 2, 40, 5, (3, 3), support="half", groups=2, corner="br"),
]
# Of sizes that do not divide blocks of outputs, with kernels of more taps than strips hold.
PRODUCT_CASES = [
    Case(2, 20, 10, 4, (3, 2), corner="tr"),
    Case(1, 17, 17, 3, (2, 3), support="half", corner="br"),
    Case(1, 12, 9, 8, (7, 7), corner="bl"),
    Case(1, 48, 3, 4, (2, 2), groups=2),
]


def operands(case: Case, **options) -> tuple[torch.Tensor, torch.Tensor]:
    return case.image(torch.float32, **options), case.weight(torch.float32)


def of_channels(least: int, most: int) -> list[Case]:
    fitting = [case for case in (*CASES, *LARGE_CASES) if least <= case.channels // case.groups <= most]
    return [case for case in fitting if case.kernel != (1, 1)][::3]


def strip_plans(case: Case) -> list[Plan]:
    """For one to eight strips, with the matrices made by each block, and before."""
    shape = describe(*operands(case), case.support, case.groups)
    found = [cut_strips(shape, WIDE_CPU, cluster) for cluster in (1, 2, 4, 8)]
    return [replace(plan, fused=plan.strip.cluster < 4) for plan in found if isinstance(plan, StripPlan)]


def row_plans(case: Case) -> list[Plan]:
    """The one that is chosen, and some for strips of all heights, with and without helping warps."""
    plans = [planned(*operands(case), case.support, case.groups, WIDE_CPU)]
    if case in ROW_CASES:
        shape = describe(*operands(case), case.support, case.groups)
        rows = list(row_shapes(shape))
        plans += [RowPlan(row, shape) for row in [r for r in rows if r.helpers == 0] + rows[:-1:7]]
    return plans


def the_plan(case: Case) -> list[Plan]:
    return [planned(*operands(case), case.support, case.groups, WIDE_CPU)]


@dataclass(frozen=True)
class Scheme:
    """What is tested of one row of `PLANS`."""

    plan: type[Plan]
    cases: list[Case]
    plans: Callable[[Case], list[Plan]]
    tall: Case  # with several strips

    @property
    def several(self) -> list[Plan]:
        """Plans for it of several strips."""
        return [plan for plan in self.plans(self.tall) if plan.compiled_for.cluster > 1]


SCHEMES = {
    "strips": Scheme(StripPlan, of_channels(4, 16) + STRIP_CASES, strip_plans, STRIP_CASES[0]),
    "rows": Scheme(RowPlan, of_channels(1, 3) + ROW_CASES, row_plans, ROW_CASES[2]),
    "products": Scheme(ProductPlan, PRODUCT_CASES, the_plan, PRODUCT_CASES[0]),
}
TABLE = [pytest.param(name, case, id=f"{name}-{case}") for name, scheme in SCHEMES.items() for case in scheme.cases]
EACH = pytest.mark.parametrize("name", SCHEMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return shared_folder(tmp_path_factory)


@pytest.fixture(scope="module")
def libraries(folder) -> dict[str, Library]:
    """All shapes that the tests of a scheme need, compiled once."""

    class Compiled(dict):
        def __missing__(self, name: str) -> Library:
            scheme = SCHEMES[name]
            shapes = {plan.compiled_for for case in scheme.cases for plan in scheme.plans(case)}
            self[name] = Library(shapes, folder, warp=32)
            return self[name]

    return Compiled()


def exact(y: torch.Tensor, weight: torch.Tensor, case: Case) -> torch.Tensor:
    return reference(y.double(), weight.double(), **case.options)


@pytest.mark.parametrize(("name", "case"), TABLE)
def test_every_plan_gives_the_solution(name, case, libraries):
    y, weight = operands(case)
    kept, expected = (y.clone(), weight.clone()), exact(y, weight, case)
    for plan in SCHEMES[name].plans(case):
        x = libraries[name].run(plan, y, weight, **case.options)
        assert relative(x, expected) < 2e-6, plan
        assert x.is_contiguous()
    assert torch.equal(y, kept[0])
    assert torch.equal(weight, kept[1])


@EACH
def test_they_are_what_is_chosen(name):
    for case in SCHEMES[name].cases:
        assert isinstance(planned(*operands(case), case.support, case.groups, WIDE_CPU), SCHEMES[name].plan)


@pytest.mark.parametrize("case", STRIP_CASES[:3], ids=str)
def test_strips_of_all_heights_give_the_same_bits(case, libraries):
    """The order of all sums is fixed."""
    y, weight = operands(case)
    first, *others = [libraries["strips"].run(plan, y, weight, **case.options) for plan in strip_plans(case)]
    assert all(torch.equal(x, first) for x in others)


@EACH
def test_transposed_kernel_gives_the_adjoint(name, libraries):
    for case in SCHEMES[name].cases[-4:-1]:
        (y, weight), g = operands(case), case.image(torch.float32, seed=3)
        transposed, turned = transpose_weight(weight, case.groups), case.options | {"corner": opposite(case.corner)}
        for plan in SCHEMES[name].plans(case)[:2]:
            x = libraries[name].run(plan, y, weight, **case.options)
            v = libraries[name].run(plan, g, transposed, **turned)
            assert torch.isclose((x.double() * g).sum(), (y.double() * v).sum(), rtol=1e-5)


@EACH
def test_the_number_of_resident_blocks_does_not_matter(name, libraries):
    case = SCHEMES[name].tall
    y, weight = operands(case)
    for plan in SCHEMES[name].several[-2:]:
        run = partial(libraries[name].run, plan, y, weight, **case.options)
        assert torch.equal(run(together=1), run(together=16))


@EACH
def test_strides_are_taken_as_they_are(name, libraries):
    case = SCHEMES[name].tall
    y, weight = operands(case)
    run = partial(libraries[name].run, SCHEMES[name].several[0], **case.options)
    expected = run(y, weight)
    wide = torch.zeros(*y.shape[:3], 2 * case.width)
    wide[..., ::2] = y
    odd_weight = weight.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    for same in (y.contiguous(memory_format=torch.channels_last), y.mT.contiguous().mT, wide[..., ::2]):
        for kernel in (weight, odd_weight):
            assert torch.equal(run(same, kernel), expected)


@EACH
def test_singular_anchor_gives_nan(name, libraries):
    """There is nobody to raise on a GPU. (The public functions look at the solution, and raise.)"""
    case = SCHEMES[name].tall
    y, weight = operands(case)
    for plan in SCHEMES[name].several[-1:]:
        for bad in (0.0, torch.nan, torch.inf):
            broken = weight.clone()
            broken[0, :, -1, -1] = bad
            assert libraries[name].run(plan, y, broken, **case.options).isnan().all()


@EACH
def test_badly_conditioned_anchor_is_inverted_exactly(name, libraries):
    """In single precision alone the inverse of an anchor of condition 1e5 is wrong in its third digit."""
    case = SCHEMES[name].tall
    y, weight = operands(case)
    generator, n = torch.Generator().manual_seed(5), case.channels
    left, right = (torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q for _ in range(2))
    weight *= 1e-5
    weight[:, :, -1, -1] = (left * torch.logspace(0, -5, n, dtype=torch.float64)) @ right
    x = libraries[name].run(SCHEMES[name].several[0], y, weight, **case.options)
    assert relative(x, exact(y, weight, case)) < 1e-5


@EACH
def test_rows_are_handed_over_whatever_nan_they_hold(name, libraries, folder):
    """What has not come yet is told by the bits of a NaN. Data may hold that very NaN: it is handed over as another."""
    case, plan = SCHEMES[name].tall, SCHEMES[name].several[0]
    y, weight = operands(case)
    y[0, 1, -5, 3] = y[1, 0, 0, 0] = EMPTY
    run = partial(libraries[name].run, plan, **case.options)
    x, expected = run(y, weight), exact(y, weight, case)
    assert torch.equal(x.isnan(), expected.isnan())
    assert 0 < x.isnan().sum() < x.numel()
    assert relative(x[~x.isnan()], expected[~x.isnan()]) < 2e-6
    assert run(y, torch.full_like(weight, EMPTY)).isnan().all()

    if name == "products":
        return  # which cut numbers, so that no sum of theirs has those bits
    as_it_is = ("__float_as_uint(value) == EMPTY ? NAN : value;", "value;")
    with pytest.raises(AssertionError, match="waits for ever"):
        Library([plan.compiled_for], folder, warp=32, edit=as_it_is).run(plan, y, weight, **case.options)

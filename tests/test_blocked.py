"""What is special to the solver by tiles: any way to cut an image gives the same solution."""

from __future__ import annotations

import pytest
import torch
from cases import Case

from deconv.solvers.blocked.strips import Strips
from deconv.solvers.blocked.tile_matrix import tile_matrix
from deconv.solvers.blocked.tiling import Tiling, choose_tiling
from deconv.solvers.blocked.wavefront import solve_tiled
from deconv.solvers.dense import operator_matrix
from deconv.solvers.reference import solve as reference

# Sizes that are no multiple of a tile, kernels that reach past several tiles, groups, and one strip or column only.
CASES = [
    Case(3, 2, 7, 10, (3, 3)),
    Case(2, 1, 9, 8, (6, 2), corner="tr"),
    Case(5, 4, 6, 7, (2, 5), corner="bl", groups=2),
    Case(2, 3, 5, 6, (4, 4), corner="br", groups=3),
    Case(2, 1, 1, 9, (1, 4)),
    Case(2, 2, 8, 1, (3, 1), corner="br"),
    Case(2, 2, 7, 10, (3, 5), support="half"),
    Case(3, 4, 6, 9, (2, 9), support="half", corner="br", groups=2),
    Case(2, 1, 5, 8, (1, 3), support="half", corner="tr"),
]
QUARTER_TILINGS = [
    Tiling(1, 1),
    Tiling(2, 2),
    Tiling(3, 2, chunk=2),
    Tiling(2, 5, chunk=1),
    Tiling(5, 3, gather=True),
    Tiling(1, 4, gather=True, chunk=2),
    Tiling(16, 16),  # one tile, larger than the image
]
HALF_TILINGS = [Tiling(1, 1), Tiling(1, 3, chunk=2), Tiling(1, 4, gather=True), Tiling(1, 16, gather=True, chunk=1)]


def tilings(case: Case) -> list[Tiling]:
    return QUARTER_TILINGS if case.support == "quarter" else HALF_TILINGS


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize(("case", "tiling"), [(case, tiling) for case in CASES for tiling in tilings(case)], ids=str)
def test_every_tiling_gives_the_solution(case: Case, tiling: Tiling):
    weight, y = case.weight(), case.image()
    kept = weight.clone(), y.clone()
    x = solve_tiled(y, weight, tiling, **case.options)
    torch.testing.assert_close(x, reference(y, weight, **case.options), rtol=1e-11, atol=1e-11)
    assert x.is_contiguous()
    assert torch.equal(weight, kept[0])
    assert torch.equal(y, kept[1])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_tile_is_solved_by_the_inverse_of_the_operator_on_it(case: Case):
    for tiling in tilings(case):
        weight = case.weight()
        rows, columns = tiling.height, tiling.width
        inner, left = weight.shape[1], weight.shape[3] - 1 if case.support == "quarter" else weight.shape[3] // 2
        matrix = tile_matrix(weight, tiling, case.support, case.groups)
        own = matrix[:, :, -1].unflatten(-1, (-1, rows * inner))[:, :, left : left + columns].flatten(2)
        dense = operator_matrix(weight, rows, columns, corner="tl", support=case.support, groups=case.groups)
        order = torch.arange(inner * rows * columns).view(inner, rows, columns).permute(2, 1, 0).flatten()
        inverse = torch.linalg.inv(dense)[:, order][:, :, order]
        torch.testing.assert_close(own, inverse, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_storing_in_strips_keeps_every_pixel_once(case: Case):
    images = case.image().abs() + 1
    for tiling in tilings(case):
        layout = Strips.of(tuple(images.shape), tuple(case.weight().shape), tiling, case.support)
        stored = layout.load(images)
        assert stored.sum() == pytest.approx(float(images.sum()))
        assert (stored != 0).sum() == images.numel()
        back = torch.empty_like(images)
        layout.unload(stored, back)
        assert torch.equal(back, images)


@pytest.mark.parametrize("support", ["quarter", "half"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("shape", "kernel"),
    [
        ((100, 4, 14, 14), (4, 4, 3, 3)),
        ((1, 1, 512, 512), (1, 1, 15, 15)),
        ((7, 48, 8, 8), (48, 48, 3, 3)),
        ((1, 1, 1, 1), (1, 1, 1, 1)),
        ((2, 600, 5, 3), (600, 600, 1, 1)),
        ((2, 600, 5, 3), (600, 1, 3, 3)),
    ],
)
def test_the_chosen_tile_fits_the_image(shape, kernel, device, support):
    tiling = choose_tiling(shape, kernel, support, device, 1)
    assert 1 <= tiling.height <= shape[2]
    assert 1 <= tiling.width <= shape[3]
    assert 1 <= tiling.chunk <= shape[0]
    assert support == "quarter" or tiling.height == 1
    assert choose_tiling(shape, kernel, support, device, 1) is tiling  # the model runs once for a problem


def test_growth_that_fits_the_image_does_not_overflow_in_the_tiles():
    # The solution grows by 1e4 with each diagonal, up to 1e33 in the last corner: one pixel more and it overflows.
    weight = torch.tensor([[[[0.0, -1e4], [-1e4, 1.0]]]])
    y = torch.zeros(2, 1, 5, 5)
    y[0, 0, 0, 0] = 1.0
    expected = reference(y.double(), weight.double(), corner="tl", support="quarter", groups=1).float()
    assert expected.max() > 1e33
    for tiling in (Tiling(1, 1), Tiling(2, 2), Tiling(3, 3), Tiling(4, 4, gather=True), Tiling(5, 5)):
        x = solve_tiled(y, weight, tiling, corner="tl", support="quarter", groups=1)
        torch.testing.assert_close(x, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_tile_inverse_is_rounded_once(case: Case):
    weight = case.weight(torch.float32)
    for tiling in tilings(case):
        matrix = tile_matrix(weight, tiling, case.support, case.groups)
        exact = tile_matrix(weight.double(), tiling, case.support, case.groups)
        assert torch.equal(matrix, exact.float())

"""The CUDA kernels under ThreadSanitizer: no data race, and one as soon as any barrier is left out."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
import torch
from cases import Case
from cuda_shim.on_cpu import COMPILER, WIDE_CPU, barriers, compile_source, planned, race_program, races
from deconv_gpu.launch import Plan
from deconv_gpu.operands import describe
from deconv_gpu.product_plan import plan_products
from deconv_gpu.row_plan import RowPlan
from deconv_gpu.row_shape import RowShape
from deconv_gpu.strip_plan import cut_strips

# Strips that wait for one another, and read past the one above them; several chunks, both supports, cells, taps held in
# registers and in shared memory.
CELLS = [Case(1, 2, 8, 13, (3, 3)), Case(2, 3, 4, 4, (2, 3), support="half"), Case(1, 12, 4, 5, (4, 2))]
# In clusters of two and alone, both supports, the matrices made by each block and before.
STRIPS = [
    (Case(1, 5, 6, 4, (3, 2)), 2, True),
    (Case(1, 4, 3, 4, (2, 3), support="half"), 1, True),
    (Case(2, 4, 6, 5, (2, 3), support="half"), 2, False),
]
# In turns and with helping warps, which two strips below see; two channels; one column after the other of a half plane.
ROWS = [
    (Case(1, 1, 18, 5, (10, 1)), RowShape(1, 9, 0, 0, 8, 5, 1, 2, 4)),
    (Case(1, 2, 10, 11, (2, 3), support="half"), RowShape(2, 1, 1, 1, 4, 2, 0, 8, 2)),
    (Case(1, 1, 9, 2, (2, 2)), RowShape(1, 1, 1, 0, 8, 2, 0, 8, 2)),
    (Case(1, 1, 9, 3, (3, 3), support="half"), RowShape(1, 2, 1, 1, 8, 2, 1, 1, 2)),
]
PRODUCTS = [Case(1, 4, 10, 3, (3, 2)), Case(1, 5, 3, 3, (2, 2))]

Solve = tuple[Plan, torch.Tensor, torch.Tensor, str]


def solve_of(case: Case) -> tuple[torch.Tensor, torch.Tensor, str]:
    return case.image(torch.float32), case.weight(torch.float32), case.support


def cells() -> tuple[list[Solve], int]:
    return [(planned(*solve_of(case), 1), *solve_of(case)) for case in CELLS], 4


def strips() -> tuple[list[Solve], int]:
    found = [(cut_strips(describe(*solve_of(case), 1), WIDE_CPU, n), fused, case) for case, n, fused in STRIPS]
    return [(replace(plan, fused=fused), *solve_of(case)) for plan, fused, case in found], 32


def rows() -> tuple[list[Solve], int]:
    return [(RowPlan(row, describe(*solve_of(case), 1), threads=64), *solve_of(case)) for case, row in ROWS], 32


def products() -> tuple[list[Solve], int]:
    found = [(plan_products(describe(*solve_of(case), 1), WIDE_CPU), case) for case in PRODUCTS]
    return [(replace(plan, prepare_threads=64), *solve_of(case)) for plan, case in found], 32


PROGRAMS = {"cells": cells, "strips": strips, "rows": rows, "products": products}


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request, tmp_path_factory):
    if COMPILER is None:
        pytest.skip("races are looked for where there is g++: none found")
    folder = tmp_path_factory.mktemp("races")
    try:
        empty = compile_source("int main() { delete new int; }", folder, ("-fsanitize=thread",))
        subprocess.run([str(empty)], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"ThreadSanitizer does not work here: {(error.stderr or b'').decode(errors='replace')[-200:]}")
    solves, warp = PROGRAMS[request.param]()
    return solves[0][0].compiled_for, race_program(solves, folder, warp)


def test_there_is_no_race(program):
    assert not races(program[1])


def test_every_barrier_is_needed_and_missed(program, capsys):
    """The detector detects: take away one barrier, and there is a race."""
    shape, path = program
    lines = barriers(shape.FILES)
    assert len(lines) >= 8
    assert not [line for line in lines if not races(path, without_barrier=line)]
    with capsys.disabled():
        print(f" [each of {len(lines)} barriers of {type(shape).__name__} was left out once, and missed]", end="")


def test_flags_between_blocks_order_memory(program):
    """Stores that do not release and loads that do not acquire: a strip reads rows that are not there yet."""
    assert races(program[1], without_order=True)

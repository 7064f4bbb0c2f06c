"""How solves are cut for a GPU: shapes, limits, refusals."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from cases import CASES, LARGE_CASES
from deconv_gpu import compile as on_gpu
from deconv_gpu.cell_plan import MAX_THREADS, CellPlan, plan_cells
from deconv_gpu.launch import PackedSolve
from deconv_gpu.operands import describe
from deconv_gpu.plan import plan
from deconv_gpu.product_plan import ProductPlan, plan_products
from deconv_gpu.row_plan import RowPlan, plan_rows
from deconv_gpu.solve_shape import Device, SolveShape, registers_of_a_lane
from deconv_gpu.strip_plan import StripPlan, plan_strips

from deconv.bench.shapes import FEW_IMAGES, TABLE

H100 = Device(processors=132, shared_bytes=232448, shared_bytes_per_processor=233472)
A100 = Device(processors=108, shared_bytes=166912, shared_bytes_per_processor=167936)
SMALL = Device(processors=20, shared_bytes=99 << 10, shared_bytes_per_processor=100 << 10, threads_per_processor=1536)
DEVICES = pytest.mark.parametrize("device", [H100, A100, SMALL], ids=["H100", "A100", "small"])


def solve_shapes(itemsize: int) -> list[SolveShape]:
    of_bench = [
        SolveShape(
            p.batch, p.channels, 1, p.height, p.width, p.kernel_height, p.kernel_width, p.support == "half", itemsize
        )
        for p in (*TABLE, *FEW_IMAGES)
    ]
    dtype = {4: torch.float32, 8: torch.float64}[itemsize]
    of_tests = [describe(c.image(dtype), c.weight(dtype), c.support, c.groups) for c in CASES + LARGE_CASES]
    return of_bench + of_tests


@DEVICES
@pytest.mark.parametrize("itemsize", [4, 8])
def test_plans_fit_and_cover_the_image(device, itemsize):
    for shape in solve_shapes(itemsize):
        planned = plan_cells(shape, device)
        if isinstance(planned, str):
            assert "shared memory" in planned
            assert shape.channels == 48
            continue
        cell = planned.cell
        assert planned.shared_bytes <= device.shared_bytes
        assert planned.threads % device.warp == 0
        assert planned.threads <= MAX_THREADS
        assert planned.strip_rows % cell.rows_per_thread == 0
        assert planned.threads >= cell.parts * cell.split * planned.strip_rows // cell.rows_per_thread
        rows, columns = -(-shape.height // cell.cell_rows), -(-shape.width // cell.cell_columns)
        assert (planned.strips - 1) * planned.strip_rows < rows <= planned.strips * planned.strip_rows
        assert planned.chunks * planned.chunk >= columns + cell.slope * (planned.strip_rows - 1)
        assert 1 <= planned.blocks <= planned.images * planned.strips
        assert cell.cell_rows <= shape.height
        assert cell.cell_columns <= shape.width


@DEVICES
def test_every_row_of_the_benchmark_is_served_in_float32(device):
    for shape in solve_shapes(4):
        planned = plan(shape, device)
        assert not isinstance(planned, str) or (device is SMALL and shape.channels == 48), (shape, planned)


HOPPER = replace(H100, clusters=True)


def test_strips_fit_and_cover_the_image():
    for shape in solve_shapes(4):
        planned = plan_strips(shape, HOPPER)
        if isinstance(planned, str):
            continue
        strip = planned.strip
        assert planned.shared_bytes <= HOPPER.shared_bytes
        assert strip.warps * (HOPPER.warp // strip.lanes) >= planned.strip_rows
        assert strip.cluster * planned.strip_rows >= shape.height
        assert planned.pitch >= shape.width + strip.left
        assert strip.cluster == 1 or strip.above <= planned.strip_rows


def test_what_is_solved_by_what():
    """The shapes of flows and photographs on devices with clusters; all others, and every other device, have cells."""
    flow = SolveShape(100, 12, 1, 32, 32, 3, 3, False, 4)
    assert isinstance(plan(flow, HOPPER), StripPlan)
    assert isinstance(plan(replace(flow, half=True), HOPPER), StripPlan)
    photograph = SolveShape(1, 1, 1, 512, 512, 15, 29, True, 4)
    assert isinstance(plan(photograph, HOPPER), RowPlan)
    assert isinstance(plan(replace(photograph, channels=3, kernel_height=5, kernel_width=5), HOPPER), RowPlan)
    assert isinstance(plan(replace(flow, channels=48), HOPPER), ProductPlan)
    assert isinstance(plan(replace(flow, kernel_height=7, kernel_width=7), HOPPER), ProductPlan)
    for shape, device in [
        (replace(flow, channels=48, height=100), HOPPER),
        (photograph, A100),
        (replace(photograph, itemsize=8), HOPPER),
        (replace(photograph, width=4096), HOPPER),
        (replace(photograph, kernel_width=201), HOPPER),
        (flow, A100),
        (flow, SMALL),
        (replace(flow, itemsize=8), HOPPER),
        (replace(flow, kernel_height=1, kernel_width=1), HOPPER),
        (replace(flow, height=1024, width=1024), HOPPER),
    ]:
        assert isinstance(plan(shape, device), CellPlan), shape


def test_a_plan_can_be_asked_for(monkeypatch):
    flow = SolveShape(100, 12, 1, 32, 32, 3, 3, False, 4)
    monkeypatch.setenv("DECONV_CUDA_PLAN", "cells")
    assert isinstance(plan(flow, HOPPER), CellPlan)
    monkeypatch.setenv("DECONV_CUDA_PLAN", "strips")
    assert plan(replace(flow, itemsize=8), HOPPER) == "is for float32"
    monkeypatch.setenv("DECONV_CUDA_PLAN", "stripes")
    with pytest.raises(ValueError, match=r"DECONV_CUDA_PLAN: must be one of rows, .*, cells, given 'stripes'"):
        plan(flow, HOPPER)


def test_products_fit_and_cover_the_image():
    for shape in solve_shapes(4):
        planned = plan_products(shape, HOPPER)
        if isinstance(planned, str):
            continue
        product = planned.product
        assert planned.shared_bytes <= HOPPER.shared_bytes
        assert 8 * product.cluster >= shape.height
        assert planned.pitch > shape.width + product.left
        assert (planned.pitch - product.slope) % 2 == 1
        assert product.registers <= registers_of_a_lane(product.warps)


def test_rows_fit_and_cover_the_image():
    for shape in solve_shapes(4):
        planned = plan_rows(shape, HOPPER)
        if isinstance(planned, str):
            continue
        row = planned.row
        assert planned.shared_bytes <= HOPPER.shared_bytes
        assert row.lanes <= HOPPER.warp
        assert 32 * (1 + row.helpers) <= planned.threads
        assert row.cluster <= planned.strips or row.cluster < 2 * planned.strips
        assert row.targets < row.cluster or planned.strips == 1  # a strip never stores into its own block
        assert row.near + row.helpers * row.shares * row.far_of_a_lane > row.above


def test_large_kernels_have_helping_warps_and_low_strips():
    row = plan_rows(SolveShape(1, 1, 1, 512, 512, 15, 29, True, 4), HOPPER).row
    assert row.helpers > 0
    assert row.rows == 8
    assert plan_rows(SolveShape(1, 1, 1, 512, 512, 3, 3, False, 4), HOPPER).row.helpers == 0


def test_strips_are_cut_where_there_are_processors_for_them():
    one = SolveShape(1, 12, 1, 64, 64, 3, 3, False, 4)
    assert plan_strips(one, HOPPER).strip.cluster == 8
    assert plan_strips(replace(one, batch=33), HOPPER).strip.cluster == 4
    assert plan_strips(replace(one, batch=1000), HOPPER).strip.cluster == 4  # no more rows fit into a block
    assert plan_strips(replace(one, height=16), HOPPER).strip.cluster == 1
    assert plan_strips(replace(one, batch=4), HOPPER).fused
    assert not plan_strips(replace(one, batch=1000), HOPPER).fused


def test_what_decides_on_strips_of_cells():
    many, one = SolveShape(1000, 12, 1, 32, 32, 3, 3, False, 4), SolveShape(1, 12, 1, 32, 32, 3, 3, False, 4)
    assert plan_cells(many, H100).images * plan_cells(many, H100).strips >= H100.processors
    assert plan_cells(one, H100).strip_rows > 1
    assert plan(replace(one, height=4096, width=4096), H100).strips > H100.processors / 8


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (SolveShape(2, 600, 1, 5, 3, 1, 1, False, 4), "bytes of shared memory"),
        (SolveShape(1, 48, 1, 64, 64, 7, 7, False, 4), "bytes of shared memory in a block, the device has 232448"),
        (SolveShape(1, 5000, 1, 5, 3, 1, 1, False, 4), "channels per group need more than 512 threads in a block"),
        (SolveShape(1 << 20, 1, 4096, 8, 8, 3, 3, False, 4), "more than 2^31 rows"),
    ],
)
def test_refusals_say_why(shape, reason):
    assert reason in plan(shape, H100)


def test_launches_are_described_before_anything_is_launched():
    """One launch for the matrices and one for the images, whatever the size; flips are signs of strides."""
    y, weight = torch.zeros(1, 1, 512, 512), torch.zeros(1, 1, 5, 5)
    planned = plan(describe(y, weight, "quarter", 1), H100)
    launches = []
    x = PackedSolve(y, weight, planned, "br", "quarter")(y, weight, launches.append)
    assert [launch.kernel for launch in launches] == ["prepare", "solve"]
    solve = [value.value for value in launches[1].arguments]
    assert solve[0] == y.data_ptr() + 4 * (512 * 512 - 1)
    assert solve[3:5] == [-512, -1]
    assert solve[5:8] == [x.data_ptr() + 4 * (512 * 512 - 1), -512, -1]


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"spec": None}, "CuPy is not installed"),
        ({"hip": "6.2"}, "built for ROCm"),
        ({"cuda": None}, "built without CUDA"),
        ({"devices": False}, "torch finds no CUDA device"),
        ({"capability": (6, 1)}, "Imaginary is older than compute capability 7.0"),
        ({}, "CuPy does not work here: ImportError: no libcudart"),
    ],
)
def test_why_there_are_no_kernels(setting, reason, monkeypatch):
    setting = {"spec": True, "hip": None, "cuda": "12.8", "devices": True, "capability": (9, 0)} | setting

    class Broken(ModuleType):
        def __getattr__(self, name):
            raise ImportError("no libcudart")

    monkeypatch.setattr(on_gpu.importlib.util, "find_spec", lambda name: setting["spec"])
    monkeypatch.setattr(torch.version, "hip", setting["hip"])
    monkeypatch.setattr(torch.version, "cuda", setting["cuda"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: setting["devices"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: setting["capability"])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Imaginary")
    monkeypatch.setitem(sys.modules, "cupy", Broken("cupy"))
    ok, why = on_gpu.available.__wrapped__()
    assert not ok
    assert reason in why

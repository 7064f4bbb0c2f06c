"""The CUDA kernels through NVIDIA's compiler, for the architectures of A100 and H100, where the compiler exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from deconv_gpu.cell_plan import plan_cells
from deconv_gpu.cell_shape import CellShape
from deconv_gpu.launch import KernelShape
from deconv_gpu.product_plan import plan_products
from deconv_gpu.row_plan import plan_rows
from deconv_gpu.solve_shape import Device, SolveShape, registers_of_a_lane
from deconv_gpu.source import kernel_name, source
from deconv_gpu.strip_plan import plan_strips
from deconv_gpu.strip_shape import StripShape

NVCC = shutil.which("nvcc")
H100 = Device(processors=132, shared_bytes=232448, shared_bytes_per_processor=233472, clusters=True)

CELLS = [
    SolveShape(100, 12, 1, 16, 16, 3, 3, False, 4),  # taps in registers
    SolveShape(100, 48, 1, 8, 8, 3, 3, False, 4),  # two rows to a thread
    SolveShape(1, 1, 1, 512, 512, 15, 29, True, 4),  # cells of a half plane
    SolveShape(1, 3, 1, 512, 512, 5, 5, False, 8),
]
STRIPS = [
    SolveShape(100, 4, 1, 14, 14, 3, 3, False, 4),
    SolveShape(100, 12, 1, 32, 32, 3, 3, False, 4),  # as many warps as there are
    SolveShape(16, 12, 1, 64, 64, 3, 3, False, 4),  # a cluster
    SolveShape(1, 16, 1, 40, 40, 2, 5, True, 4),  # most numbers of the kernel to a lane
]
ROWS = [
    SolveShape(1, 1, 1, 512, 512, 15, 15, False, 4),
    SolveShape(1, 1, 1, 512, 512, 15, 29, True, 4),
    SolveShape(1, 3, 1, 512, 512, 5, 5, False, 4),
]
PRODUCTS = [
    SolveShape(32, 48, 1, 32, 32, 3, 3, False, 4),
    SolveShape(16, 12, 1, 64, 64, 7, 7, False, 4),
]

KERNEL = "const {0} *, long long, long long, long long, long long, int, int, int"
IMAGES = "const {0} *, long long, long long, long long, long long, {0} *, long long, long long"
ARGUMENTS = {
    "prepare": f"{KERNEL}, double, {{0}} *, int *, int",
    "solve": f"{IMAGES}, int, int, int, int, const {{0}} *, int *, int, int, int, int",
    "prepare_strip": f"{KERNEL}, {{0}} *",
    "solve_strip": f"{IMAGES}, int, int, int, int, int, {KERNEL}, const {{0}} *",
    "prepare_product": f"{KERNEL}, {{0}} *",
    "solve_product": f"{IMAGES}, int, int, int, int, const {{0}} *",
    "solve_rows": f"{IMAGES}, int, int, int, int, {KERNEL}",
}


def compile_for(shapes: list[KernelShape], architectures: tuple[int, ...], folder) -> dict[str, tuple[int, int, int]]:
    """Bytes of stack, bytes of spills and registers of each solve on each architecture."""
    instances = [
        f"template __global__ void {kernel_name(kernel, shape)}"
        f"({ARGUMENTS[kernel].format(shape.scalar if isinstance(shape, CellShape) else 'float')});"
        for shape in shapes
        for kernel in shape.KERNELS
    ]
    text = folder / "kernels.cu"
    widest = max(shapes, key=lambda shape: shape.cluster)
    text.write_text("\n".join([source(widest), *instances]))
    targets = [f"-gencode=arch=compute_{sm},code=sm_{sm}" for sm in architectures]
    command = [NVCC, "-std=c++17", "--fatbin", "-Xptxas=-v", *targets, str(text), "-o", str(folder / "kernels")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "warning" not in result.stderr, result.stderr
    memory = (
        r"entry function '(\w*solve\w*)' for '(sm_\d+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores"
        r".*?Used (\d+) registers"
    )
    found = re.findall(memory, result.stderr, re.S)
    return {f"{name} {sm}": tuple(map(int, numbers)) for name, sm, *numbers in found}


@pytest.mark.skipif(NVCC is None, reason="compiled for GPUs where there is nvcc: none found")
@pytest.mark.parametrize(
    ("shapes", "architectures"),
    [
        ([plan_cells(shape, H100).cell for shape in CELLS], (80, 90)),
        ([plan_strips(shape, H100).strip for shape in STRIPS], (90,)),
        ([plan_rows(shape, H100).row for shape in ROWS], (90,)),
        ([plan_products(shape, H100).product for shape in PRODUCTS], (90,)),
        ([replace(plan_strips(STRIPS[1], H100).strip, cluster=1)], (80, 100)),
    ],
    ids=["cells", "strips", "rows", "products", "strips-without-clusters"],
)
def test_kernels_compile_without_spilling(shapes, architectures, tmp_path, capsys):
    used = compile_for(shapes, architectures, tmp_path)
    assert len(used) == len(shapes) * len(architectures)
    assert all((stack, spilled) == (0, 0) for stack, spilled, _ in used.values()), used
    for shape in shapes:
        if isinstance(shape, StripShape):  # all warps of a block find room for their registers
            assert all(registers <= registers_of_a_lane(shape.threads // 32) for *_, registers in used.values())
    with capsys.disabled():
        registers = ", ".join(str(r) for *_, r in used.values())
        print(f" [nvcc: {len(used)} solves of {registers} registers for {architectures}]", end="")

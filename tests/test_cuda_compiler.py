"""The CUDA kernels through NVIDIA's compiler, for the architectures of A100 and H100, where the compiler exists."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from deconv_gpu.plan import Device, SolveShape, plan
from deconv_gpu.source import kernel_name, source

NVCC = shutil.which("nvcc")
H100 = Device(processors=132, shared_bytes=232448, shared_bytes_per_processor=233472)

SHAPES = [
    SolveShape(100, 12, 1, 16, 16, 3, 3, False, 4),  # taps in registers
    SolveShape(100, 48, 1, 8, 8, 3, 3, False, 4),  # two rows to a thread
    SolveShape(1, 1, 1, 512, 512, 15, 29, True, 4),  # cells of a half plane
    SolveShape(1, 3, 1, 512, 512, 5, 5, False, 8),
]

ARGUMENTS = {
    "prepare": "const {0} *, long long, long long, long long, long long, int, int, int, double, {0} *, int *, int",
    "solve": "const {0} *, long long, long long, long long, long long, {0} *, long long, long long, "
    "int, int, int, int, const {0} *, int *, int, int, int, int",
}


@pytest.mark.skipif(NVCC is None, reason="compiled for GPUs where there is nvcc: none found")
def test_kernels_compile_without_spilling(tmp_path, capsys):
    cells = [plan(shape, H100).cell for shape in SHAPES]
    instances = [
        f"template __global__ void {kernel_name(kernel, cell)}({arguments.format(cell.scalar)});"
        for cell in cells
        for kernel, arguments in ARGUMENTS.items()
    ]
    text = tmp_path / "kernels.cu"
    text.write_text("\n".join([source(), *instances]))
    targets = [f"-gencode=arch=compute_{sm},code=sm_{sm}" for sm in (80, 90)]
    command = [NVCC, "-std=c++17", "--fatbin", "-Xptxas=-v", *targets, str(text), "-o", str(tmp_path / "kernels")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "warning" not in result.stderr, result.stderr

    memory = r"entry function '\w*solve\w*' for '(sm_\d+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores"
    solves = re.findall(memory, result.stderr, re.S)
    assert sorted(solves) == sorted((sm, "0", "0") for sm in ("sm_80", "sm_90") for _ in cells)
    with capsys.disabled():
        print(f" [nvcc: {len(solves)} solves for sm_80 and sm_90]", end="")

"""Compile the CUDA kernels for a CPU, and launch them as the plans say."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from deconv_gpu.cell_shape import CellShape
from deconv_gpu.launch import Launch, PackedSolve, describe
from deconv_gpu.plan import Device, LaunchPlan, plan
from deconv_gpu.source import kernel_name, kernels
from torch import Tensor

HERE = Path(__file__).parent
COMPILER = shutil.which("g++")

# Blocks of a few threads, warps of four lanes (see cuda_shim.h): all that depends on these numbers is in the plan.
CPU = Device(processors=2, shared_bytes=1 << 20, shared_bytes_per_processor=1 << 20, threads=16, warp=4)


def planned(y: Tensor, weight: Tensor, support: str, groups: int) -> LaunchPlan:
    found = plan(describe(y, weight, support, groups), CPU)
    assert isinstance(found, LaunchPlan), found
    return found


def compile_source(text: str, folder: Path, flags: Iterable[str]) -> Path:
    """The compiled text, kept in `folder` under a name made of what went into it."""
    shim = HERE / "cuda_shim.h"
    name = hashlib.sha256("\0".join((text, shim.read_text(), *flags)).encode()).hexdigest()[:16]
    path, target = folder / f"{name}.cpp", folder / name
    if not target.exists():
        path.write_text(f'#include "{shim}"\n{text}')
        unfinished = path.with_suffix(f".{os.getpid()}")
        command = [COMPILER, "-std=c++17", "-pthread", "-Wall", "-Wno-unknown-pragmas", "-Werror", *flags]
        subprocess.run([*command, str(path), "-o", str(unfinished)], check=True)
        unfinished.rename(target)  # at once, so that no other process sees a part of it
    return target


class Library:
    """The kernels for cells of some shapes."""

    def __init__(self, cells: Iterable[CellShape], folder: Path):
        cells = sorted(set(cells), key=str)
        names = [kernel_name(kernel, cell) for cell in cells for kernel in ("prepare", "solve")]
        self.numbers = {name: number for number, name in enumerate(names)}
        cases = "\n".join(
            f"    case {number}: return shim::launch_with({name}, grid, size, shared, together, arguments);"
            for name, number in self.numbers.items()
        )
        text = (
            f"{kernels()}\n"
            'extern "C" int start(int kernel, int grid, int size, size_t shared, int together, void **arguments)\n'
            f"{{\n    switch (kernel) {{\n{cases}\n    }}\n    return 0;\n}}\n"
        )
        self.start = ctypes.CDLL(str(compile_source(text, folder, ("-shared", "-fPIC")))).start

    def call(self, name: str, blocks: int, threads: int, shared_bytes: int, together: int, address: int) -> None:
        """Launch a kernel; `address` is that of an array of pointers to its arguments, as the driver takes them."""
        size, pointers = ctypes.c_size_t(shared_bytes), ctypes.c_void_p(address)
        intact = self.start(self.numbers[name], blocks, threads, size, together, pointers)
        assert intact, f"{name} wrote past its shared memory"

    def launcher(self, together: int) -> Callable[[Launch], None]:
        """Launches with so many blocks side by side."""

        def start(launch: Launch) -> None:
            name = kernel_name(launch.kernel, launch.plan.cell)
            self.call(name, launch.blocks, launch.threads, launch.shared_bytes, together, launch.address)

        return start

    def solve(self, y: Tensor, weight: Tensor, *, corner: str, support: str, groups: int, together: int = 2) -> Tensor:
        """What the registry's solver does on a GPU."""
        packed = PackedSolve(y, weight, planned(y, weight, support, groups), corner, support)
        return packed(y, weight, self.launcher(together))


def barriers() -> dict[int, str]:
    """The lines of the kernels' text that hold a barrier."""
    return {n: line.strip() for n, line in enumerate(kernels().splitlines(), 1) if "__syncthreads();" in line}


def race_program(operands: Iterable[tuple[Tensor, Tensor, str]], folder: Path) -> Path:
    """A program that solves for operands `(y, weight, support)` from the corner "tl", watched by ThreadSanitizer.

    Its arguments are the line whose barrier it leaves out, and whether flags between blocks order nothing.
    """
    bodies = []
    for y, weight, support in operands:
        launches: list[Launch] = []
        found = planned(y, weight, support, 1)
        PackedSolve(y, weight, found, "tl", support)(y, weight, launches.append)
        buffers = {"prepare": ("weight", "matrices", "counters"), "solve": ("y", "x", "matrices", "counters")}
        calls = []
        for launch in launches:
            name = iter(buffers[launch.kernel])
            values = [
                f"{next(name)}.data()" if isinstance(v, ctypes.c_void_p) else repr(v.value) for v in launch.arguments
            ]
            calls.append(
                f"launch({kernel_name(launch.kernel, found.cell)}, {launch.blocks}, {launch.threads}, "
                f"{launch.shared_bytes}, 2, {', '.join(values)});"
            )
        scalar, taps = found.cell.scalar, ", ".join(map(repr, weight.flatten().tolist()))
        bodies.append(
            f"    {{\n        std::vector<{scalar}> y({y.numel()}, 1), x(y.size()), weight{{{taps}}}, "
            f"matrices({found.matrices});\n        std::vector<int> counters({found.counters});\n        "
            + "\n        ".join(calls)
            + "\n    }\n"
        )
    text = (
        f"#line 1\n{kernels()}\nint main(int, char **options)\n{{\n    using shim::launch;\n"
        "    shim::without_barrier = std::atoi(options[1]);\n    shim::without_order = std::atoi(options[2]);\n"
        f"{''.join(bodies)}}}\n"
    )
    return compile_source(text, folder, ("-O1", "-g", "-fsanitize=thread"))


def races(program: Path, without_barrier: int = 0, without_order: bool = False) -> bool:
    """Whether ThreadSanitizer sees a data race."""
    environment = os.environ | {"TSAN_OPTIONS": "halt_on_error=1 exitcode=66"}
    command = [str(program), str(without_barrier), str(int(without_order))]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert result.returncode in (0, 66), result.stderr
    assert (result.returncode == 66) == ("data race" in result.stderr), result.stderr
    return result.returncode == 66

"""Compile the CUDA kernels for a CPU, and launch them as the plans say."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from deconv_gpu.launch import KernelShape, Launch, PackedSolve, Plan
from deconv_gpu.operands import describe
from deconv_gpu.plan import plan
from deconv_gpu.solve_shape import Device
from deconv_gpu.source import kernel_name, kernels
from torch import Tensor

Edit = tuple[str, str]
_ONE_AT_A_TIME = threading.Lock()  # an emulated device has one queue
HERE = Path(__file__).parent
COMPILER = shutil.which("g++")

# Blocks of a few threads, warps of four lanes (see cuda_shim.h): all that depends on these numbers is in the plan.
CPU = Device(processors=2, shared_bytes=1 << 20, shared_bytes_per_processor=1 << 20, threads=16, warp=4)
# Warps as they are, and clusters: for the kernels whose layout is that of 32 lanes.
WIDE_CPU = Device(processors=2, shared_bytes=200 << 10, shared_bytes_per_processor=200 << 10, clusters=True)


def shared_folder(tmp_path_factory) -> Path:
    """For compiled programs, shared by all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cuda_on_cpu"
    path.mkdir(exist_ok=True)
    return path


def planned(y: Tensor, weight: Tensor, support: str, groups: int, device: Device = CPU) -> Plan:
    found = plan(describe(y, weight, support, groups), device)
    assert not isinstance(found, str), found
    return found


def compile_source(text: str, folder: Path, flags: Iterable[str]) -> Path:
    """The compiled text, kept in `folder` under a name made of what went into it."""
    shim = HERE / "cuda_shim.h"
    name = hashlib.sha256("\0".join((text, shim.read_text(), *flags)).encode()).hexdigest()[:16]
    path, target = folder / f"{name}.cpp", folder / name
    if not target.exists():
        path.write_text(f'#include "{shim}"\n{text}')
        unfinished = path.with_suffix(f".{os.getpid()}")
        command = [COMPILER, "-std=c++17", "-Wall", "-Wno-unknown-pragmas", "-Werror", *flags]
        subprocess.run([*command, str(path), "-o", str(unfinished)], check=True)
        unfinished.rename(target)  # at once, so that no other process sees a part of it
    return target


class Library:
    """The kernels for some shapes, which have the same files; `edit` replaces a part of their text."""

    def __init__(self, shapes: Iterable[KernelShape], folder: Path, warp: int = 4, edit: Edit = ("", "")):
        shapes = sorted(set(shapes), key=str)
        of_kernel = {kernel_name(kernel, shape): shape for shape in shapes for kernel in shape.KERNELS}
        self.numbers = {name: number for number, name in enumerate(of_kernel)}
        cases = "\n".join(
            f"    case {number}: return shim::launch_with({name}, grid, size, shared, together, cluster, arguments);"
            for name, number in self.numbers.items()
        )
        text = (
            f"{kernels(shapes[0].FILES).replace(*edit)}\n"
            'extern "C" int start(int kernel, int grid, int size, size_t shared, int together, int cluster, '
            "void **arguments)\n"
            f"{{\n    switch (kernel) {{\n{cases}\n    }}\n    return -1;\n}}\n"
        )
        import fcntl  # which Windows has not, nor g++

        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            compiled = compile_source(text, folder, ("-shared", "-fPIC", f"-DWARP={warp}"))
        self.start = ctypes.CDLL(str(compiled)).start

    def call(
        self, name: str, blocks: int, threads: int, shared_bytes: int, together: int, cluster: int, address: int
    ) -> None:
        """Launch a kernel; `address` is that of an array of pointers to its arguments, as the driver takes them."""
        size, pointers = ctypes.c_size_t(shared_bytes), ctypes.c_void_p(address)
        with _ONE_AT_A_TIME:
            outcome = self.start(self.numbers[name], blocks, threads, size, together, cluster, pointers)
        assert outcome == 0, f"{name}: {({1: 'used memory beyond its shared memory', 2: 'waits for ever'})[outcome]}"

    def launcher(self, together: int) -> Callable[[Launch], None]:
        """Launches with so many blocks side by side."""

        def start(launch: Launch) -> None:
            cluster = launch.shape.cluster if launch.kernel.startswith("solve") else 1
            name = kernel_name(launch.kernel, launch.shape)
            self.call(name, launch.blocks, launch.threads, launch.shared_bytes, together, cluster, launch.address)

        return start

    def solve(self, y: Tensor, weight: Tensor, *, corner: str, support: str, groups: int, together: int = 2) -> Tensor:
        """What the registry's solver does on a GPU."""
        found = planned(y, weight, support, groups)
        return self.run(found, y, weight, corner=corner, support=support, together=together)

    def run(
        self, found: Plan, y: Tensor, weight: Tensor, *, corner: str, support: str, groups: int = 1, together: int = 2
    ) -> Tensor:
        """A solve by a given plan."""
        return PackedSolve(y, weight, found, corner, support)(y, weight, self.launcher(together))


def barriers(files: tuple[str, ...]) -> dict[int, str]:
    """The lines of the kernels' text that hold a barrier."""
    lines = enumerate(kernels(files).splitlines(), 1)
    return {n: line.strip() for n, line in lines if re.search(r"(__sync\w+|(cluster|threads)_sync)\(", line)}


def race_program(
    solves: Iterable[tuple[Plan, Tensor, Tensor, str]], folder: Path, warp: int = 4, together: int = 2
) -> Path:
    """A program, watched by ThreadSanitizer, that solves by plans for `(y, weight, support)` from the corner "tl".

    Its arguments are the line whose barrier it leaves out, and whether flags between blocks order nothing.
    """
    bodies, files = [], ()
    for found, y, weight, support in solves:
        launches: list[Launch] = []
        x = PackedSolve(y, weight, found, "tl", support)(y, weight, launches.append)
        names = {y.data_ptr(): "y", x.data_ptr(): "x", weight.data_ptr(): "weight"}
        pointers = [v.value for launch in launches for v in launch.arguments if isinstance(v, ctypes.c_void_p)]
        workspace = min((p for p in pointers if p and p not in names), default=0)

        def argument(value, names=names, workspace=workspace) -> str:
            if not isinstance(value, ctypes.c_void_p):
                return repr(value.value)
            if value.value is None:
                return "nullptr"
            name = names.get(value.value)
            return f"(void *)({name}.data())" if name else f"(void *)(workspace.data() + {value.value - workspace})"

        calls = []
        for launch in launches:
            files = launch.shape.FILES
            cluster = launch.shape.cluster if launch.kernel.startswith("solve") else 1
            calls.append(
                f"if (launch({kernel_name(launch.kernel, launch.shape)}, {launch.blocks}, {launch.threads}, "
                f"{launch.shared_bytes}, {together}, {cluster}, {', '.join(map(argument, launch.arguments))}))\n"
                "            return 67;"
            )
        taps = ", ".join(map(repr, weight.flatten().tolist()))
        scalar = {torch.float32: "float", torch.float64: "double"}[y.dtype]
        bodies.append(
            f"    {{\n        std::vector<{scalar}> y({y.numel()}, 1), x(y.size()), weight{{{taps}}};\n"
            f"        std::vector<char> workspace({found.workspace_bytes});\n        "
            + "\n        ".join(calls)
            + "\n    }\n"
        )
    text = (
        f"#line 1\n{kernels(files)}\nint main(int, char **options)\n{{\n    using shim::launch;\n"
        "    shim::without_barrier = std::atoi(options[1]);\n    shim::without_order = std::atoi(options[2]);\n"
        f"{''.join(bodies)}}}\n"
    )
    return compile_source(text, folder, ("-O1", "-g", "-fsanitize=thread", f"-DWARP={warp}"))


def races(program: Path, without_barrier: int = 0, without_order: bool = False) -> bool:
    """Whether ThreadSanitizer sees a data race, or the program waits for ever."""
    environment = os.environ | {"TSAN_OPTIONS": "halt_on_error=1 exitcode=66"}
    command = [str(program), str(without_barrier), str(int(without_order))]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert result.returncode in (0, 66, 67), result.stderr
    assert (result.returncode == 66) == ("data race" in result.stderr), result.stderr
    return result.returncode != 0

"""The CUDA kernels, compiled for a CPU and compared with the definition: what CI proves without a GPU."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import deconv_gpu
import pytest
import torch
from cases import CASES, LARGE_CASES, Case, relative
from cuda_shim.on_cpu import COMPILER, CPU, Library, planned, shared_folder
from deconv_gpu import compile as on_gpu
from deconv_gpu.cell_plan import cells, cut_cells
from deconv_gpu.operands import describe
from deconv_gpu.plan import plan
from deconv_gpu.source import kernel_name, source

import deconv
from deconv import causal_conv2d, solvers
from deconv.solvers.geometry import opposite, transpose_weight
from deconv.solvers.reference import solve as reference

pytestmark = [
    pytest.mark.usefixtures("poisoned_memory"),
    pytest.mark.skipif(COMPILER is None, reason="the kernels run on a CPU where there is g++: none found"),
]

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
TABLE = CASES + LARGE_CASES

# Cells that hang over the edge, taps that reach past several strips or chunks, groups, one row and one column.
CUT_CASES = [
    Case(2, 1, 19, 14, (6, 3), corner="tr"),
    Case(1, 4, 11, 9, (4, 3), corner="bl", groups=2),
    Case(2, 5, 7, 6, (3, 4), corner="br"),
    Case(1, 1, 6, 41, (4, 7), support="half", corner="br"),
    Case(1, 4, 7, 9, (3, 5), support="half"),
    Case(2, 6, 1, 9, (1, 4)),
    Case(1, 32, 6, 3, (2, 2)),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    """All shapes of cells that the tests need, compiled once."""
    needed = {
        planned(case.image(dtype), case.weight(dtype), case.support, case.groups).cell
        for case in TABLE
        for dtype in TOLERANCE
    }
    for case in CUT_CASES:
        needed.update(cells(describe(case.image(), case.weight(), case.support, case.groups), CPU))
    return Library(needed, shared_folder(tmp_path_factory))


@DTYPES
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_kernels_invert_the_convolution(case, dtype, library):
    weight, x = case.weight(dtype), case.image()
    y = causal_conv2d(x, weight.double(), **case.options).to(dtype)
    kept = weight.clone(), y.clone()
    result = library.solve(y, weight, **case.options)
    assert result.dtype == dtype
    assert result.is_contiguous()
    assert relative(result, x) < TOLERANCE[dtype]
    assert torch.equal(weight, kept[0])
    assert torch.equal(y, kept[1])


@pytest.mark.parametrize("case", TABLE[::3], ids=str)
def test_transposed_kernel_gives_the_adjoint(case, library):
    weight, y, g = case.weight(), case.image(seed=2), case.image(seed=3)
    x = library.solve(y, weight, **case.options)
    transposed = transpose_weight(weight, case.groups)
    v = library.solve(g, transposed, **(case.options | {"corner": opposite(case.corner)}))
    assert torch.isclose((x * g).sum(), (y * v).sum(), rtol=1e-10)


@pytest.mark.parametrize("case", CUT_CASES, ids=str)
def test_every_cut_gives_the_solution(case, library):
    """Cells of all sizes, strips of one row to all, chunks of one step to all, one to four blocks side by side."""
    weight, y = case.weight(), case.image()
    expected = reference(y, weight, **case.options)
    shape = describe(y, weight, case.support, case.groups)
    for cell in cells(shape, CPU):
        rows, n = -(-case.height // cell.cell_rows), cell.rows_per_thread
        most = CPU.threads // (cell.parts * cell.split) * n
        sizes = [(n, 1), (n, 3), (min(2 * n, most), 2), (min(-(-rows // n) * n, most), 64)]
        for together, size in enumerate(sizes, 1):
            planned = cut_cells(shape, CPU, cell, *size)
            x = library.run(planned, y, weight, **case.options, together=together)
            assert relative(x, expected) < 1e-12, planned


@pytest.mark.parametrize("case", [LARGE_CASES[8], LARGE_CASES[11]], ids=str)
def test_the_number_of_resident_blocks_does_not_matter(case, library):
    """One block that does everything, or many at once: no deadlock, and the same bits."""
    weight, y = case.weight(torch.float32), case.image(torch.float32)
    assert planned(y, weight, case.support, case.groups).blocks > 1
    alone = library.solve(y, weight, **case.options, together=1)
    assert torch.equal(library.solve(y, weight, **case.options, together=5), alone)


def test_strides_are_taken_as_they_are(library):
    case = TABLE[5]
    weight, y = case.weight(), case.image()
    expected = library.solve(y, weight, **case.options)
    wide = torch.zeros(*y.shape[:3], 2 * case.width, dtype=y.dtype)
    wide[..., ::2] = y
    odd_weight = weight.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    for same in (y.contiguous(memory_format=torch.channels_last), y.mT.contiguous().mT, wide[..., ::2]):
        for kernel in (weight, odd_weight):
            assert torch.equal(library.solve(same, kernel, **case.options), expected)


@pytest.mark.parametrize("case", [TABLE[0], TABLE[5], TABLE[7], LARGE_CASES[2]], ids=str)
def test_singular_anchor_gives_nan(case, library):
    """There is nobody to raise on a GPU. (The public functions look at the solution, and raise.)"""
    weight = case.weight()
    weight[0, :, -1, -1] = 0
    assert library.solve(case.image(), weight, **case.options).isnan().all()
    weight[:, :, -1, -1] = torch.nan
    assert library.solve(case.image(), weight, **case.options).isnan().all()


def test_growth_that_fits_the_image_does_not_overflow_in_the_cells(library):
    # The solution grows by 1e4 with each diagonal, up to 1e33 in the last corner: one pixel more and it overflows.
    weight = torch.tensor([[[[0.0, -1e4], [-1e4, 1.0]]]])
    y = torch.zeros(1, 1, 5, 4)
    y[0, 0, 0, 0] = 1.0
    expected = reference(y.double(), weight.double(), corner="tl", support="quarter", groups=1).float()
    x = library.solve(y, weight, corner="tl", support="quarter", groups=1)
    torch.testing.assert_close(x, expected, rtol=1e-5, atol=0)


@pytest.fixture
def registered(library, monkeypatch):
    """The kernels in the registry, on CPU tensors."""

    def takes(y, weight, support, groups):
        return not isinstance(plan(describe(y, weight, support, groups), CPU), str), ""

    row = solvers.Solver("cuda", lambda: (True, ""), takes, lambda: library.solve)
    monkeypatch.setitem(solvers.SOLVERS, "cuda", row)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("case", [TABLE[5], TABLE[7], TABLE[-8]], ids=str)
def test_gradients_through_the_public_function(case):
    weight, y, g = case.weight().requires_grad_(), case.image().requires_grad_(), case.image(seed=3)
    ours, theirs = (
        torch.autograd.grad(deconv.inverse_conv2d(y, weight, **case.options, solver=name), (y, weight), g)
        for name in ("cuda", "reference")
    )
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("registered")
def test_public_function_refuses_a_singular_anchor():
    case = TABLE[5]
    weight = case.weight()
    weight[0, :, -1, -1] = 0
    with pytest.raises(ValueError, match="anchor matrix is singular"):
        deconv.inverse_conv2d(case.image(), weight, **case.options, solver="cuda")


ON_STAND_IN = TABLE[5]


@pytest.fixture
def on_stand_in(library, monkeypatch):
    """As much of CuPy and its driver as is used, and behind it the kernels on a CPU: what has been launched."""
    launched, handles = [], {}
    cell = planned(ON_STAND_IN.image(), ON_STAND_IN.weight(), ON_STAND_IN.support, ON_STAND_IN.groups).cell

    class Kernel:
        def __init__(self, name: str):
            self.name, self.max_dynamic_shared_size_bytes = name, 0
            self.kernel = SimpleNamespace(ptr=1000 + len(handles))
            handles[self.kernel.ptr] = self

    class Module:
        def __init__(self, *, code, options, name_expressions):
            assert code == source(cell)
            self.names = name_expressions

        def get_function(self, name):
            assert name in self.names
            return Kernel(name)

    def launch_kernel(function, *sizes):
        grid, block, (shared_bytes, stream, address, extra) = sizes[:3], sizes[3:6], sizes[6:]
        kernel = handles[function]
        assert shared_bytes <= kernel.max_dynamic_shared_size_bytes
        assert (grid[1:], block[1:], stream, extra) == ((1, 1), (1, 1), 77, 0)
        launched.append(kernel.name)
        library.call(kernel.name, grid[0], block[0], shared_bytes, 2, 1, address)

    driver = SimpleNamespace(launchKernel=launch_kernel, ctxGetCurrent=lambda: 0)
    runtime = SimpleNamespace(memGetInfo=lambda: (0, 0))
    cupy = SimpleNamespace(RawModule=Module, cuda=SimpleNamespace(driver=driver, runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", lambda index: 77, raising=False)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: None)  # where tensors of a CPU are
    monkeypatch.setattr(on_gpu, "device_of", lambda index: CPU)
    monkeypatch.setattr(deconv_gpu, "device_of", lambda index: CPU)
    for kept in (on_gpu._kernel, on_gpu._module):
        kept.cache_clear()
    deconv_gpu._packed_solves.by_key.clear()
    yield launched
    for kept in (on_gpu._kernel, on_gpu._module):
        kept.cache_clear()
    deconv_gpu._packed_solves.by_key.clear()


def test_launches_by_the_driver(on_stand_in):
    """Shapes and strides that come again are not packed again, and other tensors do not see their addresses."""
    case = ON_STAND_IN
    cell = planned(case.image(), case.weight(), case.support, case.groups).cell
    for seed in (0, 1, 2):
        weight, y = case.weight(seed=seed), case.image(seed=seed)
        x = deconv_gpu.solve(y, weight, **case.options)
        assert relative(x, reference(y, weight, **case.options)) < 1e-12
    assert on_stand_in == 3 * [kernel_name("prepare", cell), kernel_name("solve", cell)]
    assert len(deconv_gpu._packed_solves.by_key) == 1
    for changed in ({"corner": opposite(case.corner)}, {}):
        y = case.image().mT.contiguous().mT  # other strides
        x = deconv_gpu.solve(y, weight, **(case.options | changed))
        assert relative(x, reference(y, weight, **(case.options | changed))) < 1e-12
    assert len(deconv_gpu._packed_solves.by_key) == 3


def test_threads_do_not_share_packed_arguments(on_stand_in):
    case = ON_STAND_IN
    weight, images = case.weight(), [case.image(seed=seed) for seed in range(4)]
    expected = [reference(y, weight, **case.options) for y in images]
    with ThreadPoolExecutor(len(images)) as pool:
        results = list(pool.map(lambda y: deconv_gpu.solve(y, weight, **case.options), images * 5))
    for x, y in zip(results, expected * 5, strict=True):
        assert relative(x, y) < 1e-12

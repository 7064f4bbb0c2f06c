"""Every solver against the definition, over the whole table."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from cases import CASES, LARGE_CASES, Case, relative

from deconv import causal_conv2d, solvers
from deconv.solvers import SOLVERS
from deconv.solvers.geometry import transpose_weight

ON_CPU = [name for name in SOLVERS if name != "cuda"]  # that one is proven in test_cuda_kernels.py and test_cuda.py
FAST = [name for name in ON_CPU if name != "reference"]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


def served(cases: list[Case]) -> list:
    """Every fast solver with every case that it takes; one that this machine lacks is skipped, and says why."""
    rows = []
    for name in FAST:
        ok, reason = SOLVERS[name].available()
        skip = [] if ok else [pytest.mark.skip(reason=f"{name}: {reason}")]
        for case in cases:
            if SOLVERS[name].supports(case.image(), case.weight(), case.support, case.groups)[0]:
                rows.append(pytest.param(name, case, marks=skip, id=f"{name}-{case}"))
    return rows


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """Uninitialised memory full of NaN, so that reading it shows; nothing can be compiled meanwhile."""

    def poison(allocate):
        def poisoned_allocate(*args, **kwargs):
            result = allocate(*args, **kwargs)
            if isinstance(result, torch.Tensor):
                return result.fill_(torch.nan) if result.is_floating_point() else result
            result.view(np.uint8 if result.ndim else result.dtype).fill(0xFF)  # all bits set is a NaN
            return result

        return poisoned_allocate

    with pytest.MonkeyPatch.context() as patch:
        for module, names in ((torch, ("empty", "empty_like", "empty_strided")), (np, ("empty", "empty_like"))):
            for name in names:
                patch.setattr(module, name, poison(getattr(module, name)))
        patch.setattr(torch.Tensor, "new_empty", poison(torch.Tensor.new_empty))
        yield


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reference_inverts_the_convolution(case):
    weight, x = case.weight(), case.image()
    y = causal_conv2d(x, weight, **case.options)
    assert relative(solvers.solve(y, weight, **case.options, name="reference"), x) < 1e-12


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("name", "case"), served(CASES + LARGE_CASES))
def test_solver_inverts_the_convolution(name, case, dtype):
    weight, x = case.weight(dtype), case.image()
    y = causal_conv2d(x, weight.double(), **case.options).to(dtype)
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            solvers.solve(y, weight, **case.options, name=name)  # compiles what it needs
            with poisoned_memory():
                result = solvers.solve(y, weight, **case.options, name=name)
        finally:
            torch.set_num_threads(before)
        assert result.dtype == dtype
        assert result.is_contiguous()
        assert relative(result, x) < TOLERANCE[dtype]


@pytest.mark.parametrize(("name", "case"), served(CASES[::3] + LARGE_CASES[::3]))
def test_solver_of_the_transposed_kernel_is_the_adjoint(name, case):
    """``<A^-1 y, g> == <y, A^-T g>``: what the backward pass rests on."""
    weight, y, g = case.weight(), case.image(seed=2), case.image(seed=3)
    opposite = {"tl": "br", "tr": "bl", "bl": "tr", "br": "tl"}[case.corner]
    x = solvers.solve(y, weight, **case.options, name=name)
    transposed = transpose_weight(weight, case.groups)
    v = solvers.solve(g, transposed, **(case.options | {"corner": opposite}), name=name)
    assert torch.isclose((x * g).sum(), (y * v).sum(), rtol=1e-10)


@pytest.mark.parametrize("name", FAST)
def test_strides_are_taken_as_they_are(name):
    case = Case(4, 3, 9, 8, (3, 3), corner="tr")
    weight, y = case.weight(), case.image()
    expected = solvers.solve(y, weight, **case.options, name=name)
    wide = torch.zeros(4, 3, 9, 16, dtype=y.dtype)
    wide[..., ::2] = y
    odd_weight = weight.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    for same in (y.contiguous(memory_format=torch.channels_last), y.mT.contiguous().mT, wide[..., ::2]):
        for kernel in (weight, odd_weight):
            result = solvers.solve(same, kernel, **case.options, name=name)
            assert result.is_contiguous()
            assert torch.equal(result, expected)


@pytest.mark.parametrize(("name", "case"), served([CASES[5], *LARGE_CASES[1:13:3]]))
def test_results_are_the_same_bits_every_time(name, case):
    weight, y = case.weight(torch.float32), case.image(torch.float32)
    first = solvers.solve(y, weight, **case.options, name=name)
    for _ in range(3):
        assert torch.equal(solvers.solve(y, weight, **case.options, name=name), first)


@pytest.mark.parametrize("name", ON_CPU)
def test_autocast_does_not_reach_the_solvers(name):
    case = CASES[5]
    weight, y = case.weight(torch.float32), case.image(torch.float32)
    expected = solvers.solve(y, weight, **case.options, name=name)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(solvers.solve(y, weight, **case.options, name=name), expected)


@pytest.mark.parametrize(("name", "case"), served([CASES[5], LARGE_CASES[5], LARGE_CASES[12]]))
def test_inputs_are_left_alone(name, case):
    weight, y = case.weight(), case.image()
    copies = weight.clone(), y.clone()
    solvers.solve(y, weight, **case.options, name=name)
    assert torch.equal(weight, copies[0])
    assert torch.equal(y, copies[1])


@pytest.mark.parametrize("name", ON_CPU)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_singular_anchor_is_refused(name, channels):
    weight = torch.randn(channels, channels, 2, 2, generator=torch.Generator().manual_seed(0))
    weight[0, :, -1, -1] = 0
    with pytest.raises(ValueError, match="anchor matrix is singular"):
        solvers.solve(torch.ones(2, channels, 4, 4), weight, corner="tl", support="quarter", groups=1, name=name)


@pytest.mark.parametrize("shape", [(0, 2, 3, 3), (2, 2, 0, 3), (2, 2, 3, 0)])
def test_empty_images(shape):
    weight = Case(1, 2, 3, 3, (2, 2)).weight()
    result = solvers.solve(torch.ones(shape, dtype=torch.float64), weight, corner="tl", support="quarter", groups=1)
    assert result.shape == shape


@pytest.mark.parametrize("case", [LARGE_CASES[1], LARGE_CASES[8], LARGE_CASES[13]], ids=str)
def test_several_python_threads_at_once(case):
    """The compiled solver enters the thread pool of torch from wherever it is called."""
    weight, y = case.weight(), case.image()
    expected = solvers.solve(y, weight, **case.options)
    wrong = []

    def work():
        for _ in range(20):
            if not torch.equal(solvers.solve(y, weight, **case.options), expected):
                wrong.append(threading.get_ident())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_compiled_without_the_openmp_entry_point(monkeypatch):
    """Where torch's threads cannot be entered, Python threads give the same result."""
    parallel = pytest.importorskip("deconv.solvers.compiled.parallel")
    case = LARGE_CASES[1]
    weight, y = case.weight(), case.image()
    expected = solvers.solve(y, weight, **case.options, name="compiled")
    monkeypatch.setattr(parallel, "_team", lambda: None)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert torch.equal(solvers.solve(y, weight, **case.options, name="compiled"), expected)
    finally:
        torch.set_num_threads(before)


def test_narrow_registers_give_the_same(monkeypatch):
    """What a processor without 512-bit registers runs."""
    prepared = pytest.importorskip("deconv.solvers.compiled.prepared")
    solve = sys.modules["deconv.solvers.compiled.solve"]
    monkeypatch.setattr(prepared, "_has_avx512", lambda: False)
    solve._prepared.cache_clear()
    try:
        for case in LARGE_CASES[::3]:
            weight, x = case.weight(), case.image()
            y = causal_conv2d(x, weight, **case.options)
            assert relative(solvers.solve(y, weight, **case.options, name="compiled"), x) < 1e-12
    finally:
        solve._prepared.cache_clear()


def test_forced_by_name(monkeypatch):
    case = CASES[5]
    weight, y = case.weight(), case.image()
    monkeypatch.setenv("DECONV_SOLVER", "dense")
    assert solvers.choose(y, weight, support="quarter", groups=1).name == "dense"
    assert solvers.choose(y, weight, support="quarter", groups=1, name="blocked").name == "blocked"
    monkeypatch.setenv("DECONV_SOLVER", "fastest")
    with pytest.raises(ValueError, match=r"unknown 'fastest', allowed are compiled"):
        solvers.choose(y, weight, support="quarter", groups=1)
    big = torch.zeros(1, 3, 64, 64, dtype=torch.float64)
    with pytest.raises(ValueError, match="'dense' cannot be used here: needs at most"):
        solvers.choose(big, weight, support="quarter", groups=1, name="dense")


def test_without_numba_the_tiles_serve():
    """No numba: the reason is given, and the next solver of the table takes over."""
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import torch, deconv\n"
        "ok, reason = deconv.solvers.SOLVERS['compiled'].available()\n"
        "assert not ok and 'numba is not installed' in reason, reason\n"
        "y, w = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2)\n"
        "assert deconv.solvers.choose(y, w, support='quarter', groups=1).name == 'blocked'\n"
        "x = deconv.inverse_conv2d(y, w)\n"
        "assert torch.allclose(deconv.causal_conv2d(x, w), y)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_process_does_not_wait_for_threads_that_it_does_not_have():
    """Once the parent has solved with two threads, a child that solves, and sums with torch, still gets to the end."""
    code = (
        "import os, signal, torch, deconv\n"
        "torch.set_num_threads(2)\n"
        "y, w = torch.ones(64, 4, 32, 32), 0.01 * torch.ones(4, 4, 3, 3)\n"
        "w[:, :, -1, -1] = torch.eye(4)\n"
        "w.requires_grad_()\n"
        "expected = deconv.inverse_conv2d(y, w)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    signal.alarm(60)\n"
        "    x = deconv.inverse_conv2d(y, w)\n"
        "    x.square().sum().backward()\n"
        "    os._exit(0 if torch.equal(x, expected) and w.grad.isfinite().all() else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert torch.get_num_threads() == 2\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

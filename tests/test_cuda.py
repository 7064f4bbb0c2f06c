"""The CUDA kernels on a GPU. Without one, these tests are skipped; test_cuda_kernels.py runs the kernels on a CPU."""

from __future__ import annotations

import pytest
import torch
from cases import CASES, LARGE_CASES, Case, relative

import deconv
from deconv import causal_conv2d, solvers
from deconv.solvers.geometry import opposite, transpose_weight

_OK, _REASON = solvers.SOLVERS["cuda"].available()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not _OK, reason=f"cuda: {_REASON}")]

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
TABLE = CASES + LARGE_CASES


def solve(y: torch.Tensor, weight: torch.Tensor, case: Case, **changed) -> torch.Tensor:
    return solvers.solve(y, weight, **(case.options | changed), name="cuda")


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_solver_inverts_the_convolution(case, dtype):
    weight, x = case.weight(dtype), case.image()
    y = causal_conv2d(x, weight.double(), **case.options).to(dtype)
    result = solve(y.cuda(), weight.cuda(), case)
    assert result.dtype == dtype
    assert result.is_contiguous()
    assert relative(result.cpu(), x) < TOLERANCE[dtype]


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_transposed_kernel_gives_the_adjoint(case):
    weight, y, g = case.weight().cuda(), case.image(seed=2).cuda(), case.image(seed=3).cuda()
    v = solve(g, transpose_weight(weight, case.groups), case, corner=opposite(case.corner))
    assert torch.isclose((solve(y, weight, case) * g).sum(), (y * v).sum(), rtol=1e-10)


@pytest.mark.parametrize("case", CASES[::2], ids=str)
def test_gradients(case):
    weight, y = case.weight().cuda().requires_grad_(), case.image().cuda().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda y, weight: deconv.inverse_conv2d(y, weight, **case.options, solver="cuda"), (y, weight)
    )


@pytest.mark.parametrize("case", LARGE_CASES, ids=str)
def test_results_are_the_same_bits_every_time(case):
    weight, y = case.weight(torch.float32).cuda(), case.image(torch.float32).cuda()
    first = solve(y, weight, case)
    for _ in range(5):
        assert torch.equal(solve(y, weight, case), first)


def test_it_is_the_default():
    y, weight = torch.ones(1, 1, 4, 4, device="cuda"), torch.ones(1, 1, 2, 2, device="cuda")
    assert solvers.choose(y, weight, support="quarter", groups=1).name == "cuda"


def test_too_many_channels_go_to_the_tiles():
    y, weight = torch.ones(1, 600, 5, 3, device="cuda"), torch.eye(600, device="cuda")[:, :, None, None]
    assert solvers.choose(y, weight, support="quarter", groups=1).name == "blocked"


def test_strides_are_taken_as_they_are():
    case = CASES[5]
    weight, y = case.weight().cuda(), case.image().cuda()
    expected = solve(y, weight, case)
    for same in (y.contiguous(memory_format=torch.channels_last), y.mT.contiguous().mT):
        assert torch.equal(solve(same, weight, case), expected)


def test_singular_anchor_is_refused():
    case = CASES[5]
    weight = case.weight().cuda()
    weight[0, :, -1, -1] = 0
    deconv.inverse_conv2d(case.image().cuda(), weight, **case.options, solver="cuda")
    with pytest.raises(ValueError, match="anchor matrix is singular"):
        deconv.ops.raise_if_not_finite()


def test_a_solution_that_is_not_finite_is_told_later_without_waiting():
    weight, y = torch.tensor([[[[-3.0, 1.0]]]], device="cuda"), torch.ones(1, 1, 2, 200, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        x = deconv.inverse_conv2d(y, weight, solver="cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert not torch.isfinite(x).all()  # waits
    with pytest.raises(FloatingPointError, match="gain bound inf"):
        deconv.inverse_conv2d(y, weight / 10, solver="cuda")
    deconv.ops.raise_if_not_finite()


def test_current_stream_is_used():
    case = LARGE_CASES[1]
    weight, y = case.weight().cuda(), case.image().cuda()
    expected = solve(y, weight, case)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(100_000_000)
        delayed = torch.zeros_like(y).copy_(y)  # not there before the stream has slept
        result = solve(delayed, weight, case)
    stream.synchronize()
    assert torch.equal(result, expected)


@pytest.mark.parametrize("case", [LARGE_CASES[1], LARGE_CASES[8], LARGE_CASES[11]], ids=str)
def test_forward_and_backward_in_a_cuda_graph(case):
    weight, y = case.weight().cuda().requires_grad_(), case.image().cuda().requires_grad_()
    g = case.image(seed=3).cuda()

    def step():
        x = deconv.inverse_conv2d(y, weight, **case.options, solver="cuda")
        gradients = torch.autograd.grad(x, (y, weight), g)
        return (x.detach(), *gradients)  # nodes of the leaves that lived on would belong to another stream

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    with torch.no_grad():
        y.copy_(case.image(seed=7))
        weight.copy_(case.weight(seed=8))
    graph.replay()
    for ours, theirs in zip(captured, step(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_cupy_arrays():
    cupy = pytest.importorskip("cupy")
    case = CASES[5]
    weight, x = cupy.asarray(case.weight().numpy()), cupy.asarray(case.image().numpy())
    y = deconv.causal_conv2d(x, weight, **case.options)
    again = deconv.inverse_conv2d(y, weight, **case.options, solver="cuda")
    assert isinstance(y, cupy.ndarray)
    assert isinstance(again, cupy.ndarray)
    cupy.testing.assert_allclose(again, x, rtol=1e-12, atol=1e-12)

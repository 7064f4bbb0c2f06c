"""The solver benchmark: what it prints and writes, and that it gives no ratio to a wrong solver."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from io import StringIO

import pytest
import torch
from rich.console import Console

import deconv
from deconv import solvers
from deconv.bench import graphs, growth, shapes
from deconv.bench import solver as bench
from deconv.bench.diagonals import by_diagonals
from deconv.bench.memory import extra_memory
from deconv.bench.operations import Operands, accuracy, convolutions, solution
from deconv.bench.rivals import general_solvers, triangular_matrix
from deconv.bench.roofline import Roofline
from deconv.bench.shapes import FEW_IMAGES, TABLE, SolveCase
from deconv.bench.timing import geometric_mean, interleaved_medians
from deconv.solvers.blocked import solve as blocked

# Of one kernel size, since what is compiled for the gradients of kernels is for one.
TINY = (SolveCase(3, 4, 6, 5, 3, 3), SolveCase(2, 1, 7, 8, 3, 3, "half"))


@pytest.fixture
def tiny(monkeypatch):
    """Small tables in place of the real ones."""
    monkeypatch.setattr(bench, "TABLE", TINY)
    monkeypatch.setattr(bench, "FEW_IMAGES", TINY[:1])
    monkeypatch.setattr(bench, "SERIES", {"image side": {SolveCase(1, 1, s, s, 3, 3): s for s in (4, 8)}})


def run(**options):
    out = StringIO()
    report = bench.main(seconds=0.01, threads=[1], console=Console(file=out, width=160), **options)
    return report, out.getvalue()


@pytest.mark.usefixtures("tiny")
def test_a_whole_run(tmp_path, monkeypatch):
    peaks = {"forward": 5000, "forward and backward": 9000}  # measured in another process, see the test of it
    monkeypatch.setattr(bench, "extra_memory", lambda cases, solver, device: [peaks] * len(cases))
    report, text = run(solver="blocked", json=tmp_path / "bench.json", plot=tmp_path / "bench.png")
    for column in (
        "conv2d",
        "solve",
        "ratio",
        "+ backward",
        "error",
        "memory",
        "Geometric mean",
        "speed-up",
        "Growth",
        "Roofline",
        "diagonal",
    ):
        assert column in text
    for case in TINY:
        assert str(case) in text
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["correct"] is True
    assert written["versions"]["torch"] == torch.__version__
    assert len(written["rows"]) == len(TINY)
    ratios = [row["solve"] / row["convolution"] for row in written["rows"]]
    assert written["means"]["1"]["forward"] == pytest.approx(geometric_mean(ratios))
    assert written["means"]["1"]["forward, 4 channels or more"] == pytest.approx(ratios[0])
    assert {row["solver"] for row in written["rows"]} == {"blocked"}
    assert all(row["memory"] == peaks for row in written["rows"])
    assert all(row["accuracy"]["solution"] < 1e-6 for row in written["rows"])
    assert set(written["rivals"]) == {str(case) for case in TINY}
    assert set(written["diagonals"]) == {str(case) for case in TINY}
    assert min(written["roofline"].values()) > 1e6
    assert [point["value"] for point in written["growth"]] == [4, 8]
    assert (tmp_path / "bench.png").stat().st_size > 10_000
    assert report.correct


@pytest.mark.usefixtures("tiny")
def test_times_in_graphs_are_told_beside_the_others(monkeypatch):
    """With calls, on a CPU, in place of graphs."""
    row = bench.measure_row(TINY[0], 1, "blocked", "cpu", 0.01)
    assert row.graphs is None
    assert row.graph_ratio is None
    monkeypatch.setattr(graphs, "captured", lambda function, calls: lambda: [function() for _ in range(calls)])
    times = graphs.replayed_medians({"one": lambda: time.sleep(1e-4)}, seconds=0.01, device="cpu")
    assert 1e-4 < times["one"] < 2e-3
    timed = replace(row, graphs={name: float(n) for n, name in enumerate(bench._TIMES, 1)})
    assert (timed.graph_ratio, timed.graph_ratio_with_gradients) == (3.0, 2.0)
    assert timed.record()["graph_ratio"] == 3.0
    assert replace(timed, accuracy=replace(row.accuracy, solution=1.0)).graph_ratio is None
    report = bench.Report("blocked", "cuda", [1], 0.01, rows=[timed])
    assert report.means(1)["forward, in graphs"] == pytest.approx(3.0)
    out = StringIO()
    Console(file=out, width=160).print(bench.graphs_table([timed], Roofline(1e9, 1e12)))
    assert "CUDA graphs" in out.getvalue()
    assert "3.00" in out.getvalue()


def scaled(y, weight, **options):
    return blocked(y, weight, **options) * (1 + 1e-6)


def imprecise(y, weight, **options):
    x = blocked(y, weight, **options)
    return x if x.dtype == torch.float64 else x * (1 + 1e-4)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("wrong", [scaled, imprecise])
def test_a_wrong_solver_gets_no_ratio(wrong, monkeypatch, tmp_path):
    row = solvers.Solver("wrong", lambda: (True, ""), lambda *case: (True, ""), lambda: wrong)
    monkeypatch.setitem(solvers.SOLVERS, "wrong", row)
    report, text = run(solver="wrong", memory=False, json=tmp_path / "bench.json", plot=tmp_path / "bench.png")
    assert not report.correct
    assert "wrong" in text
    assert "Some solutions are wrong" in text
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["correct"] is False
    assert {row["ratio"] for row in written["rows"] + written["few_images"] + written["growth"]} == {None}
    assert {row["ratio_with_gradients"] for row in written["rows"]} == {None}
    assert set(written["means"]["1"].values()) == {None}
    assert written["rivals"] == {}


@pytest.mark.usefixtures("tiny")
def test_some_rows_only():
    report, text = run(rows=[2], memory=False, rivals=False, growth=False)
    assert [row.case for row in report.rows] == [TINY[1]]
    assert report.few_images == []
    assert "Growth" not in text


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "guess"}, "solver: unknown 'guess', allowed are"),
        ({"rows": [4]}, "rows: given 4, allowed are 1 to 2"),
        ({"device": "cuda:99"}, "device: 'cuda:99' cannot be used here"),
        ({"json": "nowhere/bench.json"}, "json: the directory"),
    ],
)
def test_bad_arguments_are_refused_before_measuring(options, message, tmp_path):
    if "json" in options:
        options = {"json": tmp_path / options["json"]}
    with pytest.raises(ValueError, match=message):
        run(**options)


@pytest.mark.usefixtures("tiny")
def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        run(rows=[1], memory=False, rivals=False, growth=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_kernels_are_invertible_with_a_bounded_gain():
    for case in (*TABLE, *FEW_IMAGES, *itertools.chain(*growth.SERIES.values())):
        weight = case.weight()
        assert weight.shape == case.weight_shape
        assert deconv.inverse_gain_bound(weight, support=case.support) <= 10
        anchor = weight[:, :, -1, case.padding[0]]
        assert case.channels == 1 or (anchor != 0).all()


@pytest.mark.parametrize("case", [*TINY, SolveCase(2, 1, 7, 8, 2, 3, "half")], ids=str)
def test_the_convolutions_do_the_work_of_the_operator(case):
    operands = Operands.of(case).double()
    ours = deconv.causal_conv2d(operands.images, operands.weight, support=case.support)
    variants = convolutions(operands)
    assert len(variants) == (4 if case.kernel_height % 2 and case.kernel_width % 2 else 2)
    for name, (forward, both) in variants.items():
        assert forward().shape == ours.shape
        assert forward().is_contiguous()
        if name.startswith("padded"):
            torch.testing.assert_close(forward(), ours)
        assert [tensor.shape for tensor in both()] == [ours.shape, operands.images.shape, operands.weight.shape]


@pytest.mark.parametrize("case", TINY, ids=str)
def test_the_rivals_solve_the_same_system(case):
    operands = Operands.of(case).double()
    matrix = triangular_matrix(operands).toarray()
    x = solution(operands, "reference")[0]()
    left = case.padding[0]
    right = torch.linalg.solve(operands.weight[:, :, -1, left], operands.images.flatten(2))
    product = torch.from_numpy(matrix) @ x.flatten(2).permute(2, 1, 0).reshape(len(matrix), -1)
    torch.testing.assert_close(product, right.permute(2, 1, 0).reshape(len(matrix), -1))
    assert set(general_solvers(Operands.of(case))) == {
        "scipy.sparse.linalg.spsolve_triangular",
        "torch.linalg.solve_triangular",
    }


@pytest.mark.parametrize("case", TINY, ids=str)
def test_the_schedule_by_diagonals_is_corrected(case):
    operands = Operands.of(case).double()
    forward, both = by_diagonals(operands)
    x, v, dweight = solution(operands, "reference")[1]()
    torch.testing.assert_close(forward(), x)
    for ours, theirs in zip(both(), (x, v, dweight), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_roofline_is_the_slower_of_moving_and_computing():
    case = SolveCase(1, 2, 10, 10, 3, 3)
    assert Roofline(1600.0, 1e9).seconds(case) == pytest.approx(8 * 200 / 1600)
    assert Roofline(1e9, 7200.0).seconds(case) == pytest.approx(1)
    measured = Roofline.measured()
    assert measured.bytes_per_second > 1e8
    assert measured.flops_per_second > 1e8


def test_the_error_is_measured_against_float64():
    measured = accuracy(Operands.of(TINY[0]), "reference")
    assert measured.correct
    assert 1e-9 < measured.solution < 1e-6
    assert measured.residual < 1e-14


def test_memory_is_counted_from_outside():
    (peaks,) = extra_memory([SolveCase(1, 1, 1024, 1024, 2, 2)], "blocked", "cpu")
    if peaks is None:
        pytest.skip("this system does not tell a process its peak memory")
    image = 4 * 1024 * 1024
    assert image < peaks["forward"] < 3.5 * image
    assert peaks["forward and backward"] > 2 * image


def test_medians_of_interleaved_calls():
    calls = []
    medians = interleaved_medians(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, seconds=0, rounds=(3, 5)
    )
    assert list(medians) == ["a", "b"]
    # Once to warm up, once to estimate, three rounds of an untimed and a timed call.
    assert calls == ["a", "b"] * 2 + ["a", "a", "b", "b"] * 3
    assert all(median > 0 for median in medians.values())


def test_geometric_mean():
    assert geometric_mean([0.5, 2.0, 8.0]) == pytest.approx(2.0)
    assert geometric_mean([]) != geometric_mean([])


def test_a_problem_describes_itself():
    assert str(SolveCase(2, 3, 4, 5, 6, 7, "half")) == "2 x 3 x 4 x 5, 6 x 7 half"
    assert shapes.TABLE[0].pixels == 100 * 4 * 14 * 14

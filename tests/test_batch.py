"""Many pictures at once: one that fails, or whose process dies, leaves the others alone; nothing unfinished stays."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from batch_work import work
from PIL import Image

from deconv.cli import main
from deconv.cli.batch import pool
from deconv.cli.batch.files import Job
from deconv.cli.batch.memory import needed_memory
from deconv.cli.outcome import FAILED, Outcome
from deconv.free_memory import free_memory
from deconv.imaging import read_image, write_image

pytestmark = pytest.mark.usefixtures("here")


def jobs(*names: str) -> list[Job]:
    for name in names:
        Path(name).write_bytes(b"")
    return [Job(Path(name), Path("out", name)) for name in names]


def outcomes(found: list[Job], **options) -> dict[str, tuple[Outcome, list[str]]]:
    seen = {}
    for job, message in pool.work_through(found, work, "x", **({"processes": 2, "threads": 1} | options)):
        if isinstance(message[0], Outcome):
            assert job.source.name not in seen
            seen[job.source.name] = message
    return seen


def test_what_fails_leaves_the_others_alone():
    names = ["a", "wrong", "dies", "b", "fault", "c"]
    seen = outcomes(jobs(*names))
    assert set(seen) == set(names)
    assert sorted(path.name for path in Path("out").iterdir()) == ["a", "b", "c"]
    assert seen["a"][1] == ["a remark"]
    assert {name: outcome.words for name, (outcome, _) in seen.items() if outcome.what == FAILED} == {
        "wrong": "wrong: is wrong",
        "dies": "its process has died (exit status 7)",
        "fault": "RuntimeError: a fault",
    }
    assert len({seen[name][0].words for name in "abc"}) <= 3


def test_stages_are_told():
    events = list(pool.work_through(jobs("a"), work, "x", processes=1, threads=1))
    assert [message for _, message in events[:2]] == [("starting", 0.0), ("working", 0.0)]


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
def test_an_end_leaves_nothing_unfinished_within_two_seconds():
    """Also of a process that does not listen."""
    running = pool.work_through(jobs("slow", "deaf"), work, "x", processes=2, threads=1)
    for _ in range(4):  # both start, and both tell of their one stage
        next(running)
    while len(list(Path("out").glob(".*.part"))) < 2:
        time.sleep(0.01)
    started = time.monotonic()
    running.close()
    assert time.monotonic() - started < 2
    assert list(Path("out").iterdir()) == []


def test_one_at_a_time_where_memory_is_short(monkeypatch):
    monkeypatch.setattr(pool, "free_memory", lambda: 1.0)
    seen = outcomes(jobs("a", "b", "c"))
    assert len({outcome.words for outcome, _ in seen.values()}) == 1  # all in one process


def test_memory_follows_from_the_size_that_a_file_declares():
    write_image("small.png", np.zeros((10, 10), np.uint8))
    write_image("large.png", np.zeros((1000, 1000), np.uint8))
    Path("none.png").write_bytes(b"no picture")
    small, large, none = (needed_memory(Path(name)) for name in ("small.png", "large.png", "none.png"))
    assert none < small < large
    assert free_memory() > 1e8


@pytest.fixture
def pictures() -> dict[str, np.ndarray]:
    """Two pictures in folders, and a file that is none."""
    draws = np.random.default_rng(0)
    found = {name: draws.integers(0, 256, (40, 48), np.uint8) for name in ("in/a.png", "in/deep/b.png")}
    Path("in/deep").mkdir(parents=True)
    for name, values in found.items():
        write_image(name, values)
    Path("in/c.png").write_text("no picture")
    return found


def test_the_command_takes_many(pictures, capsys):
    many = ["blur", "in", "-o", "out", "--psf", "box:3", "--recursive", "--jobs", "1", "--report", "report.json"]
    assert main(many) == 1
    said = capsys.readouterr()
    assert "2 blurred, 1 failed" in said.out
    assert said.err.startswith("deconv: in/c.png: it is not an image")
    for name in pictures:
        output = name.replace("in/", "out/", 1)
        assert main(["blur", name, "-o", "one.png", "--psf", "box:3", "-q", "--overwrite"]) == 0
        assert np.array_equal(read_image(output), read_image("one.png"))
    report = json.loads(Path("report.json").read_text())
    by_file = {each["file"].replace(os.sep, "/"): each for each in report["pictures"]}
    assert (report["command"], set(by_file)) == ("blur", {*pictures, "in/c.png"})
    assert (by_file["in/a.png"]["outcome"], by_file["in/a.png"]["psf"]) == ("blurred", [3, 3])
    assert by_file["in/c.png"]["output"] is None
    Path("in/c.png").unlink()
    assert main(many) == 2  # what is there is left
    assert "out/a.png and 1 more exist" in capsys.readouterr().err.replace(os.sep, "/")
    assert main([*many, "--skip-existing", "-q"]) == 0
    assert {each["outcome"] for each in json.loads(Path("report.json").read_text())["pictures"]} == {"skipped"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("deblur in -o out --psf nonsense:3", "psf: unknown 'nonsense:3'"),
        ("deblur in -o out --method magic", "--method: unknown 'magic'"),
        ("deblur in -o out --save-psf k.png", "--save-psf: is one file"),
        ("estimate-kernel in -o out -k big", "--kernel-size: expected"),
        ("blur in -o out --psf box:3 --noise lots", "--noise: 'lots'"),
        ("blur in -o out --psf box:3 --report no/r.json", "no does not exist"),
        ("blur in/a.png -o out.png --psf box:3 --jobs 2", "--jobs: is for several pictures"),
        ("blur in/a.png - -o out --psf box:3", "standard input and output are for one picture"),
    ],
)
def test_what_is_wrong_with_all_is_said_once(pictures, capsys, arguments, words):
    assert main(arguments.split()) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert (said.err.count("\n"), said.out) == (1, "")
    assert not Path("out").exists()


def piped(monkeypatch, data: bytes, *arguments: str) -> tuple[int, bytes]:
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    monkeypatch.setattr(sys, "stdout", out)
    return main(list(arguments)), out.buffer.getvalue()


def test_standard_input_and_output(pictures, monkeypatch, capsys):
    data = Path("in/a.png").read_bytes()
    assert main(["blur", "in/a.png", "-o", "one.png", "--psf", "box:3"]) == 0
    status, out = piped(monkeypatch, data, "blur", "-", "-o", "-", "--psf", "box:3")
    assert (status, out) == (0, Path("one.png").read_bytes())
    assert capsys.readouterr().err.startswith("standard input -> standard output: 48 x 40 -> 46 x 38 grey")
    status, out = piped(monkeypatch, b"no picture", "blur", "-", "-o", "-", "--psf", "box:3")
    assert (status, out) == (2, b"")
    assert capsys.readouterr().err.startswith("deconv: standard input: it is not an image")
    stream = io.BytesIO()
    Image.fromarray(pictures["in/a.png"]).save(stream, "BMP")  # a kind that is not written
    status, out = piped(monkeypatch, stream.getvalue(), "blur", "-", "-o", "-", "--psf", "box:3", "-q")
    assert status == 0
    assert np.array_equal(Image.open(io.BytesIO(out)), read_image("one.png"))
    assert capsys.readouterr().err == ""

"""The CUDA kernels under ThreadSanitizer: no data race, and one as soon as any barrier is left out."""

from __future__ import annotations

import subprocess

import pytest
import torch
from cases import Case
from cuda_shim.on_cpu import COMPILER, barriers, compile_source, race_program, races

# Strips that wait for one another, and read past the one above them; several chunks, both supports, cells, taps held in
# registers and in shared memory.
CASES = [Case(1, 2, 8, 13, (3, 3)), Case(2, 3, 4, 4, (2, 3), support="half"), Case(1, 12, 4, 5, (4, 2))]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("races are looked for where there is g++: none found")
    folder = tmp_path_factory.mktemp("races")
    try:
        empty = compile_source("int main() { std::thread([] {}).join(); }", folder, ("-fsanitize=thread",))
        subprocess.run([str(empty)], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"ThreadSanitizer does not work here: {(error.stderr or b'').decode(errors='replace')[-200:]}")
    return race_program(
        [(case.image(torch.float32), case.weight(torch.float32), case.support) for case in CASES], folder
    )


def test_there_is_no_race(program):
    assert not any(races(program) for _ in range(5))


def test_every_barrier_is_needed_and_missed(program, capsys):
    """The detector detects: take away one barrier, and there is a race, if not every time that the program is run."""
    lines = barriers()
    assert len(lines) > 10
    unnoticed = [line for line in lines if not any(races(program, without_barrier=line) for _ in range(20))]
    assert not unnoticed
    with capsys.disabled():
        print(f" [each of {len(lines)} barriers of the kernels was left out once, and missed]", end="")


def test_flags_between_blocks_order_memory(program):
    """Stores that do not release and loads that do not acquire: a strip reads rows that are not there yet."""
    assert races(program, without_order=True)

"""Settings for every test."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

# Before torch is imported, and for the processes that tests begin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

# Tests are small: a second thread costs more than it brings. And the LU factorisation of MKL, as some builds of torch
# ship it, fails on large matrices when the number of threads has been lowered and raised again.
torch.set_num_threads(1)

# Where the tests are begun in the background, a shell may have them ignore what Ctrl-C sends; those of interruptions,
# and the processes that they begin, have to hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def generator() -> torch.Generator:
    """A source of random numbers, the same for every test."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tries(capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs the command: the exit status, and what was said on standard output and standard error."""
    from deconv.cli import main

    def tries(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return tries


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """Fresh tensors hold NaN, and so does the shared memory of kernels, so that reading either before it is written
    shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)

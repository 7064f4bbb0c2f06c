"""Compiled kernels on disk: damaged, missing, shared or foreign files cost time, never a result."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import LARGE_CASES

from deconv import causal_conv2d, solvers
from deconv.progress import ProgressBar, heard_by
from deconv.solvers import registry

pytest.importorskip("numba")

from numba.core import caching, config

from deconv.solvers.compiled import batch_lanes, cache, channel_lanes, row_lanes
from deconv.solvers.compiled.cache import cached_cfunc, describe_cache
from deconv.solvers.compiled.memory_intrinsics import write_word


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def writer(number: int):
    """A function that writes a number of its closure, as kernels have sizes in theirs."""

    def write(table):
        write_word(table, number)

    return write


def written(kernel) -> int:
    table = np.zeros(1, np.int64)
    kernel.ctypes(table.ctypes.data)
    return int(table[0])


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_compiled_is_loaded_again(folder):
    first, second = cached_cfunc(writer(7)), cached_cfunc(writer(7))
    assert (first.cache_hits, second.cache_hits) == (0, 1)
    assert written(first) == written(second) == 7
    assert len(files(folder)) == 1


def test_the_bar_in_work_says_what_it_waits_for():
    said = []
    with heard_by(lambda title, share: said.append(title)), ProgressBar("restoring", 2):
        for _ in range(2):
            with ProgressBar("of a part", 1, shown=False):  # nobody hears or sees it
                cached_cfunc(writer(7))
            said.append("compiled")
    waiting = "restoring, compiling, once on this machine"
    assert said == ["restoring", waiting, "restoring", "compiled", "compiled"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content[:50] + bytes([content[50] ^ 1]) + content[51:],
        lambda content: b"something else" * 100,
    ],
    ids=["empty", "cut short", "last bit", "one bit", "other content"],
)
def test_damaged_files_are_replaced(folder, damage):
    cached_cfunc(writer(7))
    (file,) = files(folder)
    content = file.read_bytes()
    file.write_bytes(damage(content))
    again = cached_cfunc(writer(7))
    assert again.cache_hits == 0
    assert written(again) == 7
    assert cached_cfunc(writer(7)).cache_hits == 1


def test_a_file_that_is_whole_but_not_ours(folder):
    """Its checksum is right, and still nothing comes of it."""
    saved = cached_cfunc(writer(7))._cache
    (file,) = files(folder)
    saved._cache_file.path = lambda key: file
    saved._cache_file.save("key", {"no": "code"})
    again = cached_cfunc(writer(7))
    assert again.cache_hits == 0
    assert written(again) == 7


def test_processes_that_compile_at_once_keep_apart(folder):
    """Two processes fill an empty cache; nobody ever loads what was compiled for another closure."""
    code = (
        "import sys, test_compiled_cache as t\n"
        "for number in range(3)[:: int(sys.argv[1])]:\n"
        "    assert t.written(t.cached_cfunc(t.writer(number))) == number\n"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", code]
    both = [
        subprocess.Popen([*command, order], cwd=Path(__file__).parent, env=environment, stderr=subprocess.PIPE)
        for order in ("1", "-1")
    ]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert len(files(folder)) == 3
    for number in range(3):
        kernel = cached_cfunc(writer(number))
        assert kernel.cache_hits == 1
        assert written(kernel) == number


def test_another_processor_has_files_of_its_own(folder, monkeypatch):
    from numba.core.codegen import CPUCodegen

    cached_cfunc(writer(7))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(CPUCodegen, "magic_tuple", lambda self: ("x86_64", "another", "+fewer"))
        assert cached_cfunc(writer(7)).cache_hits == 0
    assert cached_cfunc(writer(7)).cache_hits == 1
    assert len(files(folder)) == 2


def test_a_full_disk_leaves_nothing_behind(folder, monkeypatch):
    def full(*paths):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert written(cached_cfunc(writer(7))) == 7
    assert not files(folder)


def test_files_of_former_sources_are_removed(folder, monkeypatch):
    cached_cfunc(writer(7))
    former = files(folder)
    monkeypatch.setattr(cache, "_sources", lambda _: "changed!")
    assert cached_cfunc(writer(7)).cache_hits == 0
    assert not any(path.exists() for path in former)
    assert len(files(folder)) == 1


@pytest.fixture
def read_only(monkeypatch):
    """No folder can be written."""

    def refuse(locator):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", refuse)
    caches = (batch_lanes._kernel, channel_lanes._kernel, row_lanes._kernel, describe_cache, registry._numba_available)
    for kept in caches:
        kept.cache_clear()
    yield
    for kept in caches:
        kept.cache_clear()


@pytest.mark.usefixtures("read_only")
def test_without_a_folder_kernels_are_compiled_in_memory(folder):
    case = LARGE_CASES[8]
    x, weight = case.image(), case.weight()
    y = causal_conv2d(x, weight, **case.options)
    torch.testing.assert_close(solvers.solve(y, weight, **case.options, name="compiled"), x)
    assert not files(folder)
    ok, reason = solvers.SOLVERS["compiled"].available()
    assert ok
    assert "compiled in memory by every process: no folder" in reason


@pytest.mark.usefixtures("read_only")
def test_where_nothing_can_be_compiled_the_tiles_serve(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no memory that may\nbe executed")

    monkeypatch.setattr(cache.CFunc, "compile", refuse)
    ok, reason = solvers.SOLVERS["compiled"].available()
    assert not ok
    assert reason == "numba does not work here: OSError: no memory that may be executed"
    case = LARGE_CASES[8]
    assert solvers.choose(case.image(), case.weight(), support=case.support, groups=case.groups).name == "blocked"

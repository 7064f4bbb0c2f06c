"""Compiling by numba, with what is compiled kept on disk; whatever may be wrong there, it compiles anew.

numba finds the folder, and knows what makes a compiled function what it is: bytecode, constants of its closure, types,
processor. Its own cache lists these in an index of numbered files, so that two processes that compile at once may give
one number to two functions, and one of them loads the other's from then on; and a damaged file raises in every process
for ever. Here each compiled function is a file of its own, named by all that made it and checked by its hash. It is
written under another name and renamed, so that nobody sees a part of it.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba import njit, types
from numba.core.caching import FunctionCache, NullCache
from numba.core.ccallback import CFunc
from numba.core.serialize import dumps

from deconv.progress import waiting_for

__all__ = ["cached_cfunc", "cached_njit", "describe_cache"]

_VERSIONS = numba.__version__, llvmlite.__version__
_DIGEST = hashlib.sha256().digest_size


@lru_cache
def _sources(file: str) -> str:
    """A hash of all that may be compiled into a function of a file: the files of its package, and of this one."""
    folders = Path(__file__).parent, Path(file).parent
    files = sorted({path.resolve() for folder in folders for path in folder.glob("*.py")})
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


class _Files:
    """One file for each compiled form of a function; `numba.core.caching` calls `load` and `save`."""

    def __init__(self, folder: Path, function: Callable):
        self.folder = folder
        name = f"{function.__module__}.{function.__qualname__}".replace(".<locals>", "")
        self.prefix = f"{name}.{sys.implementation.cache_tag}-"
        self.sources = _sources(function.__code__.co_filename)

    def path(self, key: object) -> Path:
        digest = hashlib.sha256(repr((_VERSIONS, key)).encode()).hexdigest()[:24]
        return self.folder / f"{self.prefix}{self.sources}-{digest}.nbc"

    def load(self, key: object) -> Any:
        """What `save` was given, or None."""
        try:
            content = self.path(key).read_bytes()
        except OSError:
            return None
        digest, data = content[:_DIGEST], content[_DIGEST:]
        return pickle.loads(data) if hashlib.sha256(data).digest() == digest else None

    def save(self, key: object, compiled: Any) -> None:
        data = dumps(compiled)
        path = self.path(key)
        unfinished = path.with_suffix(f".{uuid.uuid4().hex}")
        try:
            unfinished.write_bytes(hashlib.sha256(data).digest() + data)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        for stale in self.folder.glob(f"{self.prefix}*"):
            if not stale.name.startswith(f"{self.prefix}{self.sources}"):
                stale.unlink(missing_ok=True)


class _Cache(FunctionCache):
    """numba's cache of a function, with files of ours, that never stands in the way of compiling."""

    def __init__(self, function: Callable):
        super().__init__(function)
        self._cache_file = _Files(Path(self.cache_path), function)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a file that passed its check, but that this numba makes nothing of
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError, pickle.PicklingError):  # the disk is full, say: then the next process compiles again
            super().save_overload(sig, data)


def _cache_of(function: Callable) -> _Cache | NullCache:
    try:
        return _Cache(function)
    except RuntimeError:  # no folder that can be written
        return NullCache()


def _told(compile_: Callable[..., Any], cache: _Cache | NullCache) -> Callable[..., Any]:
    """The same, which takes seconds, with a word on it from the progress bar."""
    words = "compiling, once on this machine" if isinstance(cache, _Cache) else "compiling"

    @wraps(compile_)
    def telling(*arguments: Any, **options: Any) -> Any:
        with waiting_for(words):
            return compile_(*arguments, **options)

    return telling


def cached_cfunc(function: Callable[[int], None]) -> CFunc:
    """A C function of one 64-bit integer; see `parallel` for what it is given.

    Parameters
    ----------
    function : callable
        What numba can compile.

    Returns
    -------
    CFunc
        Compiled, or loaded.
    """
    result = CFunc(function, ((types.int64,), types.void), locals={}, options={})
    result._cache = _cache_of(function)
    result._compile_uncached = _told(result._compile_uncached, result._cache)
    result.compile()
    return result


def cached_njit(function: Callable) -> Callable:
    """A function that is compiled when it is first called with arguments of some types, or loaded.

    Parameters
    ----------
    function : callable
        What numba can compile.

    Returns
    -------
    callable
        The same for the caller, but fast.
    """
    result = njit(function)
    result._cache = _cache_of(function)
    result._compiler.compile = _told(result._compiler.compile, result._cache)
    return result


@lru_cache
def describe_cache() -> str:
    """Where compiled functions are kept. Compiles a function that does nothing, and raises what numba raises.

    Returns
    -------
    str
        A clause of a sentence.
    """
    cache = cached_cfunc(_nothing)._cache
    if isinstance(cache, _Cache):
        return f"compiled on first use and cached in {cache.cache_path}"
    return "compiled in memory by every process: no folder for a cache can be written (NUMBA_CACHE_DIR can name one)"


def _nothing(table: int) -> None:
    pass

"""Files of strangers: damaged ones end in one line, oversized ones before anything is allocated."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .quiet import quiet_decoders

__all__ = ["MAX_PIXELS", "check_size", "decoding"]

# As many as the largest sensors of today have; a hundred bytes of a file can declare any number.
MAX_PIXELS = 250_000_000


@contextmanager
def decoding(path: str | os.PathLike) -> Iterator[None]:
    """Turn whatever a decoder raises into a ValueError of one line with the file's name, and keep it quiet.

    Parameters
    ----------
    path : path-like
        The file whose bytes are decoded in this context.

    Raises
    ------
    ValueError
        For every exception but MemoryError: what a damaged file leads a decoder to is anybody's guess.
    """
    logger = logging.getLogger("tifffile")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(), quiet_decoders():
            warnings.simplefilter("ignore")
            yield
    except MemoryError:
        raise
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {_line(error)}") from None
    except Exception as error:
        raise ValueError(f"{os.fspath(path)}: the file is damaged ({_line(error)})") from None
    finally:
        logger.disabled = disabled


def check_size(shape: Sequence[int], max_pixels: int) -> None:
    """Refuse a picture or volume that declares more than so many pixels."""
    if math.prod(shape) > max_pixels:
        raise ValueError(
            f"it declares {' x '.join(map(str, shape))} pixels, more than the {max_pixels} that are read; --max-pixels "
            f"{math.prod(shape)} lifts the limit (max_pixels in Python), if the memory is there"
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

"""The file formats: one row of `FORMATS` each, one module of `deconv.imaging.codecs` each.

Whoever reads or writes files, or lists what can be read or written (the command's help, the training folder), reads
this table. It loads no library: a row names its codec, which is imported when a file of its kind is met.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .foreign_formats import advice_on, starts_with

if TYPE_CHECKING:
    from .codec import Codec

__all__ = [
    "FORMATS",
    "Format",
    "format_of_bytes",
    "format_of_folder",
    "format_of_name",
    "listing",
    "split_name",
    "suffixes",
    "written_ending",
]

# What follows the ending of a compressed FITS file.
_PACKED = (".gz", ".fz")


@dataclass(frozen=True)
class Format:
    """One row.

    Attributes
    ----------
    name : str
        What people call it.
    suffixes : tuple of str
        What its files' names end with, in lower case.
    magic : tuple of bytes
        What its files begin with; a question mark stands for any byte.
    module : str
        The module of `deconv.imaging.codecs` that reads and writes it.
    dtypes : tuple of str
        What is written, the one for floats first; empty where files are only read.
    volumes : bool
        Whether its files may hold the slices of a volume.
    opacity : bool
        Whether it has room for opacity.
    photographs : bool
        Whether photographs are kept in it: what a folder of images is searched for.
    parts : str
        What several images in one of its files are called; nothing where there is one.
    axes : bool
        Whether its files say themselves if they hold a picture or a stack.
    becomes : str
        The ending of pictures made of files that are only read.
    stored : bool
        Whether stacks larger than the memory can be read from it and written to it.
    folder : tuple of str
        Names of files of which one is in it, where it is a folder: one that holds a stack. Nothing where it is a file.
    """

    name: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...]
    module: str
    dtypes: tuple[str, ...] = ()
    volumes: bool = False
    opacity: bool = True
    photographs: bool = True
    parts: str = ""
    axes: bool = False
    becomes: str = ".png"
    stored: bool = False
    folder: tuple[str, ...] = ()

    @property
    def codec(self) -> Codec:
        return cast("Codec", import_module(f"{__package__}.codecs.{self.module}"))

    def begins(self, data: bytes) -> bool:
        """Whether a file's bytes begin as this format's do."""
        return any(starts_with(data, magic) for magic in self.magic)


FORMATS: tuple[Format, ...] = (
    Format("PNG", (".png",), (b"\x89PNG\r\n\x1a\n",), "png", ("uint8", "uint16")),
    Format("JPEG", (".jpg", ".jpeg"), (b"\xff\xd8\xff",), "jpeg", ("uint8",), opacity=False),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        "tiff",
        ("float32", "uint8", "uint16", "float64"),
        volumes=True,
        parts="series",
        axes=True,
        stored=True,
    ),
    Format(
        "NumPy",
        (".npy",),
        (b"\x93NUMPY",),
        "npy",
        ("float32", "uint8", "uint16", "float64"),
        volumes=True,
        opacity=False,
        photographs=False,
        stored=True,
    ),
    Format("BMP", (".bmp",), (b"BM",), "bmp"),
    Format("WebP", (".webp",), (b"RIFF????WEBP",), "webp", ("uint8",)),
    Format("GIF", (".gif",), (b"GIF87a", b"GIF89a"), "gif", photographs=False),
    Format("PNM", (".pgm", ".ppm", ".pnm", ".pbm"), tuple(b"P%d" % n for n in range(1, 7)), "pnm"),
    Format("JPEG 2000", (".jp2", ".j2k"), (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), "jpeg2000"),
    Format(
        "FITS",
        (".fits", ".fit", ".fts"),
        (b"SIMPLE  =", b"\x1f\x8b"),  # the second begins a gzip
        "fits",
        ("float32", "uint8", "uint16", "float64"),
        volumes=True,
        opacity=False,
        photographs=False,
        parts="HDU",
        axes=True,
    ),
    Format(
        "MRC",
        (".mrc", ".map", ".rec"),
        (b"?" * 208 + b"MAP ",),
        "mrc",
        ("float32", "uint16"),
        volumes=True,
        opacity=False,
        photographs=False,
        axes=True,
    ),
    Format(
        "OME-Zarr",
        (".zarr",),
        (),
        "ome_zarr",
        ("float32", "uint8", "uint16", "float64"),
        volumes=True,
        opacity=False,
        photographs=False,
        parts="series",
        axes=True,
        stored=True,
        folder=("zarr.json", ".zgroup", ".zarray"),
    ),
    Format("AVIF", (".avif",), (b"????ftypavif",), "avif", ("uint8",)),
    Format(
        "HEIC",
        (".heic", ".heif", ".hif"),
        tuple(b"????ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")),
        "heif",
    ),
    Format(
        "camera raw",
        (".dng", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"),
        (b"????ftypcrx ", b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0"),  # the others begin as a TIFF
        "raw",
        photographs=False,
        becomes=".tif",
    ),
)


def format_of_bytes(data: bytes) -> Format:
    """The format of a file, told from its bytes and not from its name.

    Parameters
    ----------
    data : bytes
        The file, or its beginning.

    Returns
    -------
    Format

    Raises
    ------
    ValueError
        It is of none of them; the message says which those are, or what the file is and what to do with it.
    """
    for format in FORMATS:
        if format.begins(data):
            return format
    raise ValueError(advice_on(data) or f"it is not an image, or of a kind that is not known; known are {listing()}")


def format_of_folder(path: str | os.PathLike) -> Format | None:
    """The format of which a folder is one file, as people see it.

    Parameters
    ----------
    path : path-like
        A folder, or anything else.

    Returns
    -------
    Format or None
        None where it is a file, a folder of pictures, or not there.
    """
    return next((row for row in FORMATS if any(Path(path, name).is_file() for name in row.folder)), None)


def format_of_name(path: str | os.PathLike, *, volumes: bool = False) -> Format:
    """The format that a file of this name is written in.

    Parameters
    ----------
    path : path-like
        Where to.
    volumes : bool
        It is to hold a volume.

    Returns
    -------
    Format

    Raises
    ------
    ValueError
        None that is written ends like this; the message lists those that are.
    """
    suffix = Path(path).suffix.lower()
    for format in FORMATS:
        if suffix in format.suffixes and format.dtypes and (format.volumes if volumes else not format.folder):
            return format
    rows = _chosen(True, volumes, False)
    allowed = ", ".join(end for format in rows if volumes or not format.folder for end in format.suffixes)
    raise ValueError(f"{os.fspath(path)}: kind of file {suffix!r}, allowed here are {allowed}")


def suffixes(*, written: bool = False, volumes: bool = False, photographs: bool = False) -> tuple[str, ...]:
    """What the names of files end with; each argument that is true leaves only the formats of which it is true."""
    return tuple(suffix for format in _chosen(written, volumes, photographs) for suffix in format.suffixes)


def split_name(path: str | os.PathLike) -> tuple[str, str]:
    """The name of a file in two: what people call it, and what says its kind.

    Parameters
    ----------
    path : path-like
        A file; only its name is looked at.

    Returns
    -------
    stem, ending : str
        ``"m31", ".fits"`` of ``m31.fits.gz``, since such a file is written unpacked; ``"cells", ".ome.tif"`` of
        ``cells.ome.tif``.
    """
    name = Path(path)
    if name.suffix.lower() in _PACKED and Path(name.stem).suffix:
        name = Path(name.stem)
    stem = Path(name.stem)
    if stem.suffix.lower() == ".ome":
        return stem.stem, stem.suffix + name.suffix
    return name.stem, name.suffix


def written_ending(ending: str) -> str:
    """The ending of a picture made of a file with this one, as `split_name` gives it; the same where it is written."""
    for format in FORMATS:
        if ending.lower().endswith(format.suffixes):
            return ending if format.dtypes else format.becomes
    return ".png"


def listing(*, written: bool = False, volumes: bool = False) -> str:
    """The formats' names in a sentence, ``"PNG, JPEG or TIFF"``; the arguments are those of `suffixes`."""
    *names, last = (format.name for format in _chosen(written, volumes, False))
    return f"{', '.join(names)} or {last}" if names else last


def _chosen(written: bool, volumes: bool, photographs: bool) -> list[Format]:
    return [
        format
        for format in FORMATS
        if (format.dtypes or not written)
        and (format.volumes or not volumes)
        and (format.photographs or not photographs)
    ]

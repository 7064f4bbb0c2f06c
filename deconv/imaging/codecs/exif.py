"""What cameras write about a photograph (Exif), out of files built like a TIFF and into them.

Elsewhere Exif is one block of bytes; in a TIFF it is tags of the first directory, two of which are the places of
further directories.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

__all__ = ["exif_of_tiff", "is_photograph", "with_exif"]

_EXIF, _GPS = 0x8769, 0x8825

# Who, with what, when: the tags of the first directory that are of the picture, not of its pixels. What is seen and
# the program's name are the camera's beside an Exif directory only: without, programs leave notes of their own there,
# of how the values are laid out, say.
_NOTES = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_OF_PROGRAMS = (0x010E, 0x0131)

_INTEROP = 0xA005

# Types of tags: text, and a number of 32 bits.
_TEXT, _PLACE = 2, 4


def exif_of_tiff(data: bytes) -> bytes | None:
    """The Exif of a file that is built like a TIFF, but for the orientation; None without any, or where damaged."""
    found, kept = Image.Exif(), Image.Exif()
    with suppress(Exception):
        found.load_from_fp(io.BytesIO(data))
        left_out = () if _EXIF in found else _OF_PROGRAMS
        for tag in (tag for tag in _NOTES if tag in found and tag not in left_out):
            kept[tag] = found[tag]
        for place in (_EXIF, _GPS):
            if directory := found.get_ifd(place):
                kept.get_ifd(place).update(directory)
    return kept.tobytes() if kept else None


def is_photograph(exif: bytes) -> bool:
    """Whether Exif tells how a photograph was taken: scanners and microscopes, too, write who made them."""
    found = Image.Exif()
    with suppress(Exception):
        found.load(exif)
    return _EXIF in found


def with_exif(tiff: bytes, exif: bytes) -> bytes:
    """A TIFF file of one picture with its first directory written anew, at the end, and Exif in it.

    Parameters
    ----------
    tiff : bytes
        Not a BigTIFF, of the byte order II.
    exif : bytes
        As in other formats.

    Returns
    -------
    bytes
    """
    found = Image.Exif()
    found.load(exif)
    data = bytearray(tiff)
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    entries = {
        bytes(data[at : at + 2]): bytes(data[at : at + 12]) for at in range(first + 2, first + 2 + 12 * count, 12)
    }

    def add(tag: int, kind: int, length: int, content: bytes) -> None:
        data.extend(bytes(len(data) % 2))
        value = content.ljust(4, b"\0") if len(content) <= 4 and kind == _TEXT else struct.pack("<I", len(data))
        entries[struct.pack("<H", tag)] = struct.pack("<HHI", tag, kind, length) + value
        data.extend(content)

    for tag in (tag for tag in _NOTES if tag in found):
        text = str(found[tag]).encode() + b"\0"
        add(tag, _TEXT, len(text), text)
    for place in (_EXIF, _GPS):
        content = {tag: value for tag, value in found.get_ifd(place).items() if tag != _INTEROP}
        if content:
            directory = ImageFileDirectory_v2(ifh=b"II*\0\0\0\0\0")
            for tag, value in content.items():
                directory[tag] = value
            add(place, _PLACE, 1, directory.tobytes(len(data) + len(data) % 2))
    data.extend(bytes(len(data) % 2))
    struct.pack_into("<I", data, 4, len(data))
    rows = sorted(entries.values(), key=lambda entry: struct.unpack_from("<H", entry))
    data.extend(struct.pack("<H", len(rows)) + b"".join(rows) + bytes(4))
    return bytes(data)

"""Files that people of this field have and that are not read: what each kind is called, and what to do with it.

Told from their bytes, as the formats that are read; `deconv.imaging.formats` asks here last.
"""

from __future__ import annotations

__all__ = ["advice_on", "starts_with"]

_CONVERT = "convert it to OME-TIFF with bfconvert or to OME-Zarr with bioformats2raw (both of Bio-Formats)"
_VOLUME = "save it as TIFF or MRC"
_SKY = "save it as FITS"
_PICTURE = "save it as TIFF of 16 bits, or as PNG"

# Bytes at the beginning, where a question mark stands for any; what the file is; what to do.
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"ZISRAWFILE", "a CZI file of a Zeiss microscope", _CONVERT),
    (b"\xda\xce\xbe\x0a", "an ND2 file of a Nikon microscope", _CONVERT),
    (b"p\0\0\0????*", "a LIF file of a Leica microscope", _CONVERT),
    (b"\xd0\xcf\x11\xe0", "an OLE file, such as OIB of Olympus or ZVI of Zeiss", _CONVERT),
    (b"?" * 96 + b"\xa0\xc0", "a DV file of a DeltaVision microscope", _CONVERT),
    (b"??ics_version", "an ICS file", _CONVERT),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as IMS of Imaris", _CONVERT),
    (b"NRRD", "an NRRD file", _VOLUME),
    (b"ObjectType", "a MetaImage file", _VOLUME),
    (b"?" * 344 + b"n+1\0", "a NIfTI file", _VOLUME),
    (b"?" * 128 + b"DICM", "a DICOM file", _VOLUME),
    (b"XISF0100", "an XISF file of PixInsight", _SKY),
    (b"LUCAM-RECORDER", "a SER video", _SKY),
    (b"v/1\x01", "an OpenEXR picture", "save it as TIFF of 32 bits"),
    (b"#?R", "a Radiance HDR picture", "save it as TIFF of 32 bits"),
    (b"\xff\x0a", "a JPEG XL picture", _PICTURE),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture", _PICTURE),
    (b"8BPS", "a Photoshop file", _PICTURE),
    (b"gimp xcf", "a GIMP file", _PICTURE),
    (b"%PDF", "a PDF", _PICTURE),
    (b"PK\x03\x04", "a ZIP archive, such as .npz or .ozx", "unpack it, and give the .npy file or the folder .ome.zarr"),
)


def advice_on(data: bytes) -> str | None:
    """What a file is that is not read, and what to do, in a sentence; None where it is nothing that is known.

    Parameters
    ----------
    data : bytes
        The file, or its beginning.
    """
    for magic, name, advice in _KINDS:
        if starts_with(data, magic):
            return f"it is {name}, a kind that is not read; {advice}"
    return None


def starts_with(data: bytes, magic: bytes) -> bool:
    """Whether these bytes begin with those, of which a question mark stands for any byte."""
    return len(data) >= len(magic) and all(m in (b, ord("?")) for m, b in zip(magic, data, strict=False))

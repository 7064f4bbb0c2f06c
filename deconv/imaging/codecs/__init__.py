"""One module for each file format, from bytes to a picture and back: a row of `deconv.imaging.formats` names it.

`deconv.imaging.codec.Codec` says what a module has. Pillow reads and writes whatever has 8 bits, OpenCV the files of
16 bits that Pillow would cut down, tifffile the TIFF files. None of them is imported before a file asks for it.
"""

__all__: list[str] = []

#!/usr/bin/env bash
# JPEG in a TIFF has 12 bits: tifffile writes 16-bit colours modulo 4096 and grey values cut at 4095, without a word.
# Seen with tifffile 2026.3.3, imagecodecs 2026.3.6.
#
# The file says 12 bits per sample, and values up to 4095 come back within the error of the coder. A photograph that uses its 16
# bits comes back as bands, a stack saturated. Of the other coders, JPEG 2000, JPEG XL and JPEG XR return integers as they were.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 <<'PY'
import numpy as np
import tifffile

ramp = np.repeat(np.linspace(0, 65535, 256).astype(np.uint16)[None], 64, 0)
colour, grey = np.dstack([ramp] * 3), ramp // 8


def returned(values, coder, photometric):
    tifffile.imwrite("page.tif", values, compression=coder, photometric=photometric)
    with tifffile.TiffFile("page.tif") as file:
        return file.asarray().astype(int), file.pages[0].bitspersample


read, bits = returned(colour, "jpeg", "rgb")
print("colours:", bits, "bits; median difference from the values modulo 4096:", np.median(abs(read - colour % 4096)))
assert bits == 12 and np.median(abs(read - colour % 4096)) == 0 and abs(read - colour).max() > 60000
read, bits = returned(grey, "jpeg", "minisblack")
print("grey values up to", grey.max(), "come back up to", read.max())
assert bits == 12 and abs(read - np.minimum(grey, 4095)).max() < 10
for coder in ("jpeg2000", "jpegxl", "jpegxr"):
    assert np.array_equal(returned(colour, coder, "rgb")[0], colour), coder
    print(coder, "returns the colours as they were")
PY

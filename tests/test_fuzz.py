"""Three hundred damaged files and odd sets of options: an output, or one line that says why not.

Never a traceback, a second line, a part of a file, or more memory than `LIMIT`. What a number does is the same every
time: ``pytest tests/test_fuzz.py -k "[123]"`` repeats one.
"""

from __future__ import annotations

import io
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image

from deconv.cli import main
from deconv.imaging import read_image, read_stack

CASES = 300
LIMIT = 1 << 29  # bytes that all of them together may add to the process at any time: libraries, and small images

GENERATOR = np.random.default_rng(0)
GREY = (np.clip(GENERATOR.normal(0.5, 0.2, (24, 28)), 0, 1) * 255).astype(np.uint8)
COLOUR = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
STACK = np.stack([GREY] * 5).astype(np.uint16) * 200
PSF = np.outer([1.0, 2, 1], [1, 2, 4, 2, 1])


def pillow(array: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(array: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def mat(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays)
    return buffer.getvalue()


PICTURES: dict[str, Callable[[], bytes]] = {
    "grey.png": lambda: pillow(GREY, "PNG"),
    "colour.png": lambda: pillow(COLOUR, "PNG", dpi=(300, 300)),
    "sixteen.png": lambda: pillow(GREY.astype(np.uint16) * 257, "PNG"),
    "opacity.png": lambda: pillow(np.dstack([COLOUR, GREY]), "PNG"),
    "colour.jpg": lambda: pillow(COLOUR, "JPEG", quality=90),
    "colour.webp": lambda: pillow(COLOUR, "WEBP"),
    "grey.bmp": lambda: pillow(GREY, "BMP"),
    "grey.gif": lambda: pillow(GREY, "GIF"),
    "colour.ppm": lambda: pillow(COLOUR, "PPM"),
    "plain.tif": lambda: tiff(COLOUR),
    "deflated.tif": lambda: tiff(GREY, compression="zlib"),
    "lzw.tif": lambda: pillow(COLOUR, "TIFF", compression="tiff_lzw"),
    "float.tif": lambda: tiff((GREY / 255).astype(np.float32)),
    "tiled.tif": lambda: tiff(np.tile(GREY, (2, 2)), tile=(16, 16)),
    "imagej.tif": lambda: tiff(STACK, imagej=True, metadata={"axes": "ZYX", "spacing": 0.3}),
    "grey.npy": lambda: npy(GREY),
    "float.npy": lambda: npy(np.asfortranarray(COLOUR / 255)),
    "big.npy": lambda: npy((GREY / 255).astype(">f4")),
}
PSFS: dict[str, Callable[[], bytes]] = {
    "psf.npy": lambda: npy(PSF / PSF.sum()),
    "psf.png": lambda: pillow((PSF * 30).astype(np.uint8), "PNG"),
    "psf.tif": lambda: tiff((PSF / PSF.sum()).astype(np.float32)),
    "psf.mat": lambda: mat(psf=PSF),
    "several.mat": lambda: mat(kernel=PSF, other=GREY),
}


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(data: bytes, rng: random.Random) -> bytes:
    start, size = rng.randrange(len(data)), rng.choice((1, 4, 16, 200))
    return data[:start] + rng.choice((b"\0", b"\xff", b"\x7f"))[:1] * size + data[start + size :]


def huge_number(data: bytes, rng: random.Random) -> bytes:
    """In the header, where sizes, offsets and counts are."""
    start = rng.randrange(min(len(data), 120) // 2) * 2
    number = rng.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x00010000, 0x01000000))
    return data[:start] + number.to_bytes(4, rng.choice(("little", "big"))) + data[start + 4 :]


def repeat(data: bytes, rng: random.Random) -> bytes:
    start, size = rng.randrange(len(data)), rng.choice((1, 16, 300))
    return data[: start + size] + data[start:]


def leave_out(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 7, 64)) :]


def nothing(data: bytes, rng: random.Random) -> bytes:
    return data


MUTATIONS = (cut, flip_bits, overwrite, huge_number, repeat, leave_out)

OPTIONS: dict[str, tuple[str, ...]] = {
    "--psf": (
        "gaussian:1", "gaussian:0", "gaussian:-1", "gaussian:nan", "gaussian:1e9", "gaussian:2000", "gaussian:",
        "gaussian", "motion:5,30", "motion:1e12,3", "motion:5,30,7,9", "disk:2", "disk:inf", "disk:30",
        "shake:9,seed=3", "shake:9,seed=x", "airy:1", ":", "none.npy", ".", "../", "psf:\u00e9", "gaussian:1\n2",
    ),
    "--method": ("wiener", "tikhonov", "richardson_lucy", "total_variation", "magic", "", "WIENER"),
    "--sigma": ("1%", "0.01", "0", "-1", "nan", "inf", "1e400", "%", "1%%", "one"),
    "--noise-to-signal": ("0.01", "0", "-1", "nan", "1e-300", "1e300"),
    "--weight": ("1", "0", "-1", "1e300", "nan"),
    "--boundary": ("unknown", "circular", "reflect", "replicate", "zero", "dark", ""),
    "--tiles": ("64", "16", "0", "-5", "1000000000", "x"),
    "--iterations": ("1", "3", "0", "-1", "1.5"),
    "--bits": ("8", "16", "32", "7", "0", "-8"),
    "--device": ("cpu", "auto", "meta", "cuda:7", "abacus"),
    "--kernel-size": ("3", "5x7", "x", "0"),
    "--output": ("out.png", "out.jpg", "out.tif", "out.npy", "out.xyz", "out.tar", "no/where.png", "out.gif"),
    "--clipped": (),
    "--linear": (),
    "--recentre": (),
    "--no-such-option": ("1",),
}  # fmt: skip


def mutated(name: str, make: Callable[[], bytes], rng: random.Random, folder: Path, undamaged: float) -> str:
    data = make()
    if rng.random() >= undamaged:
        for _ in range(rng.choice((1, 1, 1, 2))):
            data = rng.choice(MUTATIONS)(data, rng) or data[:1]
    if rng.random() < 0.05:
        name = f"{Path(name).stem}{rng.choice(('.png', '.tif', '.npy', '.jpg', '.mat', ''))}"
    if rng.random() < 0.02:
        data = b""
    (folder / name).write_bytes(data)
    return name


def arguments(number: int, folder: Path) -> list[str]:
    """A command, and the files that it is given."""
    rng = random.Random(number)
    picture = rng.choice(list(PICTURES))
    source = mutated(picture, PICTURES[picture], rng, folder, undamaged=0.25)
    chosen: dict[str, str | None] = {"--psf": "gaussian:1", "--method": "wiener", "--output": "out.png"}
    if rng.random() < 0.3:
        psf = rng.choice(list(PSFS))
        chosen["--psf"] = mutated(psf, PSFS[psf], rng, folder, undamaged=0.3)
    for flag in rng.sample(list(OPTIONS), rng.choice((0, 0, 1, 1, 2, 3))):
        chosen[flag] = rng.choice(OPTIONS[flag]) if OPTIONS[flag] else None
    command = rng.choice(("deblur", "deblur", "deblur", "blur"))
    if command == "blur":
        chosen = {
            flag: value for flag, value in chosen.items() if flag in ("--psf", "--output", "--boundary", "--bits")
        }
    return [command, source, *(text for flag, value in chosen.items() for text in (flag, value) if text is not None)]


@pytest.fixture(scope="module", autouse=True)
def memory():
    """Bytes at the peak, as far as Linux tells."""
    status, forget = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not forget.exists():
        yield
        return

    def measured(field: str) -> int:
        (line,) = (line for line in status.read_text().splitlines() if line.startswith(f"{field}:"))
        return int(line.split()[1]) * 1024

    forget.write_text("5")
    before = measured("VmRSS")
    yield
    assert measured("VmHWM") - before < LIMIT


def print_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """As outside of the tests."""
    print(warnings.formatwarning(message, category, filename, lineno), file=sys.stderr)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("number", range(CASES))
def test_an_output_or_one_line(number, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    command = arguments(number, tmp_path)
    given = set(tmp_path.rglob("*"))
    monkeypatch.setattr(warnings, "showwarning", print_warning)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        status = main(command)
    said = capfd.readouterr()
    written = set(tmp_path.rglob("*")) - given
    assert status in (0, 2), command
    assert "Traceback" not in said.err, command
    if status == 2:
        assert said.out == "", command
        assert said.err.startswith("deconv"), command
        assert said.err.count("\n") == 1, (command, said.err)
        assert not written, command
    else:
        (output,) = written
        assert output.name == command[command.index("--output") + 1]
        read = read_stack if output.suffix == ".tif" and "imagej.tif" in command else read_image
        assert np.isfinite(np.asarray(read(output), dtype=float)).all(), command
        assert all(line.startswith("deconv: ") for line in said.err.splitlines()), (command, said.err)

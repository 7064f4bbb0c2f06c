"""Tasks for a page's session that need no torch: a process imports them in a moment."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from deconv.page.settings import Settings
from deconv.progress import ProgressBar


def read(source: Path, folder: Path, settings: Settings) -> dict:
    """Refuses what is no text, as a picture would be."""
    text = source.read_bytes()
    if not text.isascii():
        raise ValueError(f"{source}: it is not an image")
    (folder / "made").mkdir()
    (folder / "made" / "before.png").write_bytes(text)
    return {"bytes": len(text), "width": 1, "height": 1, "kind": "text"}


def example(source: Path, folder: Path, settings: Settings) -> dict:
    source.write_text("example")
    return read(source, folder, settings)


def upper(source: Path, folder: Path, settings: Settings) -> dict:
    (folder / "saved").mkdir(exist_ok=True)
    (folder / "saved" / source.name).write_text(source.read_text().upper())
    return {"name": source.name, "method": settings.method}


def slow(source: Path, folder: Path, settings: Settings) -> dict:
    """Tells that half of it is done, and never ends."""
    with ProgressBar("sleeping", 2, shown=False) as bar:
        time.sleep(0.11)  # one word in a tenth of a second is told
        bar.advance()
        time.sleep(60)
    return {}


def killed(source: Path, folder: Path, settings: Settings) -> dict:
    os.kill(os.getpid(), signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    return {}


def faulty(source: Path, folder: Path, settings: Settings) -> dict:
    return {}[source]


def told(source: Path, folder: Path, settings: Settings) -> dict:
    """An estimate that takes no time."""
    from PIL import Image

    Image.new("L", (3, 3), 255).save(folder / "made" / "psf.png")
    words = "the lens was out of focus" if settings.model == "focus" else "the camera moved straight"
    return {
        "words": words,
        "cautions": [],
        "confidence": 0.9,
        "found": True,
        "size": [3, 3],
        "light": True,
        "seconds": 0.0,
    }


TASKS = {"open": read, "upper": upper, "slow": slow, "killed": killed, "faulty": faulty}
EXAMPLES = {"text": example}

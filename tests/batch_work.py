"""What runs in the processes that test_batch.py starts; it imports little, since each of them imports it anew."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from deconv.cli.outcome import Outcome
from deconv.progress import ProgressBar


def work(source: Path, output: Path, letter: str) -> Outcome:
    """The name of the picture says how it ends."""
    with ProgressBar("working", 2.0, shown=False) as bar:
        bar.advance()
    if source.stem.startswith("wrong"):
        raise ValueError(f"{source}: is wrong")
    if source.stem.startswith("fault"):
        raise RuntimeError("a fault")
    if source.stem.startswith("dies"):
        os._exit(7)
    if source.stem.startswith("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if source.stem.startswith(("deaf", "slow")):
        part = output.with_name(f".{output.name}.{os.getpid()}.part")
        try:
            part.write_text("")
            time.sleep(60)
        finally:
            part.unlink()
    print("deconv: a remark", file=sys.stderr)
    output.write_text(letter)
    return Outcome("done", str(os.getpid()))

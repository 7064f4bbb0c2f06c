"""The ``deconv`` command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command with `arguments`, by default the process's; return the exit status.

    0: done. 2: the input or the options will not do; one line on standard error says why, and nothing was
        written.
    130: interrupted from the keyboard.
    """
    try:
        from .run import run

        return run(arguments)
    except KeyboardInterrupt:
        print("deconv: interrupted", file=sys.stderr)
        return 130

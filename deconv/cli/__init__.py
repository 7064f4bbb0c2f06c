"""The ``deconv`` command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        The exit status. 0: done. 2: the input or the options will not do; one line on standard error says why, and
        nothing was written. 3: no psf is to be trusted, and the picture is left as it is. 130: interrupted from the
        keyboard. 143: terminated (SIGTERM).
    """
    try:
        from .interrupts import watched_interrupts

        if arguments is None:  # the process is ours
            from ..own_process import own_process

            own_process()
        with watched_interrupts() as interrupted:
            try:
                from .run import run

                return run(arguments, interrupted)
            except Exception:
                if not interrupted():
                    raise
    except KeyboardInterrupt:
        pass
    print("deconv: interrupted", file=sys.stderr)
    return 130

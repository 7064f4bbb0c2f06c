"""Commands for one picture that take many: a process per core, one display, a table at the end."""

from .command import for_many

__all__ = ["for_many"]

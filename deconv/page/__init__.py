"""The local page of ``deconv app``: a session of pictures, a queue of jobs, and a server on 127.0.0.1.

What is done to a picture is handed in as tasks, functions that run in a process of their own; this package knows
nothing of them. `session`, `jobs`, `worker` and `settings` need the standard library alone, `server` Starlette and
uvicorn, and the page in `static` a browser and no network.
"""

from __future__ import annotations

__all__: list[str] = []

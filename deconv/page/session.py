"""The pictures of a page, what was made of them, and the jobs that make it; all files in one temporary folder."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..choices import check_choice
from .jobs import Job, Jobs
from .settings import Settings
from .worker import Tasks, Worker

__all__ = ["OPEN", "PictureEntry", "Session"]

# The task that every picture begins with; it returns what the page shows of the picture.
OPEN = "open"

# Names of files are cut to so many characters, and lose what file systems and headers do not take.
_LONGEST = 120
_REFUSED = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')


@dataclass
class PictureEntry:
    """A picture of the session.

    Attributes
    ----------
    id : str
        What the page calls it.
    name : str
        Of its file.
    folder : Path
        What is read lies in its ``source`` and ``psf``, what tasks make in ``made`` and ``saved``.
    results : dict
        What tasks have returned, by their names, the latest last; and at which version of the state.
    job : Job or None
        The last that was asked for.
    """

    id: str
    name: str
    folder: Path
    results: dict[str, Any] = field(default_factory=dict)
    job: Job | None = None

    @property
    def source(self) -> Path:
        """Its file."""
        return self.folder / "source" / self.name

    def words(self) -> dict[str, Any]:
        """What the page shows of it, ready for JSON."""
        job = self.job
        return {
            "id": self.id,
            "name": self.name,
            "results": self.results,
            "job": job
            and {
                "task": job.task,
                "state": job.state,
                "title": job.title,
                "share": round(job.share, 3),
                "left": job.seconds_left,
                "message": job.message,
            },
        }


class Session:
    """What the server serves, without the server.

    Parameters
    ----------
    tasks : mapping
        By name, functions ``task(source, folder, settings)`` of modules, which return what is ready for JSON and write
        what they make into the folders ``made`` and ``saved`` of `folder`. One is called ``"open"``.
    examples : mapping
        By name, tasks that write a picture to `source`, and open it.
    max_bytes : int
        Files that are larger are refused.

    Attributes
    ----------
    version : int
        Of the state; `listeners` are called when it has grown, from any thread.
    open : bool
        Whether listeners have something to wait for.
    """

    def __init__(self, tasks: Tasks, examples: Tasks | None = None, *, max_bytes: int = 1 << 31) -> None:
        examples = examples or {}
        self.examples = tuple(examples)
        self.folder = Path(tempfile.mkdtemp(prefix="deconv-app-"))
        self.max_bytes = max_bytes
        self._ours = re.compile(rf"{re.escape(str(self.folder))}[/\\]\d+[/\\]\w+[/\\]")
        self.version = 0
        self.open = True
        self.listeners: set[Callable[[], None]] = set()
        self._pictures: dict[str, PictureEntry] = {}
        self._counted = 0
        self._lock = threading.RLock()  # a listener may ask for the state
        self.tasks = tuple(tasks)
        made = {_example(name): task for name, task in examples.items()}
        self._jobs = Jobs(Worker({**tasks, **made}), self._hear)

    def state(self) -> dict[str, Any]:
        """All that the page shows, ready for JSON."""
        with self._lock:
            return {"version": self.version, "pictures": [picture.words() for picture in self._pictures.values()]}

    def picture(self, id: str) -> PictureEntry:
        """The picture of this id; KeyError where there is none."""
        with self._lock:
            return self._pictures[id]

    @contextmanager
    def adding(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Take a picture in, piece by piece: ``with session.adding("a.jpg") as write: write(piece)``."""
        picture = self._new(name)
        try:
            with self._receiving(picture.source) as write:
                yield write
        except BaseException:
            shutil.rmtree(picture.folder, ignore_errors=True)
            raise
        self._admit(picture, Job(OPEN, self._arguments(picture, Settings())))

    @contextmanager
    def adding_psf(self, id: str, name: str) -> Iterator[Callable[[bytes], None]]:
        """Take a file of a picture's psf in; one that was there is replaced."""
        folder = self.picture(id).folder / "psf"
        shutil.rmtree(folder, ignore_errors=True)
        with self._receiving(folder / _safe(name)) as write:
            yield write

    def add_example(self, name: str) -> None:
        """Make an example, and take it in."""
        check_choice("example", name, self.examples)
        picture = self._new(f"{name}.png")
        picture.source.parent.mkdir(parents=True)
        self._admit(picture, Job(_example(name), self._arguments(picture, Settings())))

    def ask(self, id: str, task: str, settings: Settings) -> None:
        """Have a task done to a picture; what was asked of that picture before, and is not done, is cancelled."""
        check_choice("task", task, self.tasks)
        with self._lock:
            picture = self.picture(id)
            former, picture.job = picture.job, Job(task, self._arguments(picture, settings))
        if former is not None:
            self._jobs.cancel(former)
        self._jobs.submit(picture.job)

    def cancel(self, id: str) -> None:
        """Stop what is being done to a picture, or waits to be."""
        job = self.picture(id).job
        if job is not None:
            self._jobs.cancel(job)

    def remove(self, id: str) -> None:
        """Forget a picture and remove its files."""
        self.cancel(id)
        with self._lock:
            picture = self._pictures.pop(id)
            self._count()
        shutil.rmtree(picture.folder, ignore_errors=True)

    def file(self, id: str, part: str, name: str) -> Path:
        """A file that tasks have made; FileNotFoundError for any other."""
        check_choice("part", part, ("made", "saved"))
        path = self.picture(id).folder / part / name
        if name != Path(name).name or not path.is_file():
            raise FileNotFoundError(name)
        return path

    def hang_up(self) -> None:
        """Tell who listens that no more will come."""
        self.open = False
        self._count()

    def close(self) -> None:
        """Stop all work and remove every file."""
        self._jobs.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _new(self, name: str) -> PictureEntry:
        with self._lock:
            self._counted += 1
            id = str(self._counted)
        return PictureEntry(id, _safe(name), self.folder / id)

    def _admit(self, picture: PictureEntry, job: Job) -> None:
        picture.job = job
        with self._lock:
            self._pictures[picture.id] = picture
        self._jobs.submit(job)

    def _arguments(self, picture: PictureEntry, settings: Settings) -> tuple[Path, Path, Settings]:
        return picture.source, picture.folder, settings

    @contextmanager
    def _receiving(self, path: Path) -> Iterator[Callable[[bytes], None]]:
        path.parent.mkdir(parents=True)
        written = 0

        with open(path, "wb") as file:

            def write(piece: bytes) -> None:
                nonlocal written
                written += len(piece)
                if written > self.max_bytes:
                    raise ValueError(f"{path.name}: more than the {self.max_bytes} bytes that are taken")
                file.write(piece)

            yield write

    def _hear(self, job: Job) -> None:
        """Something about a job is new."""
        with self._lock:
            picture = next((each for each in self._pictures.values() if each.job is job), None)
            if picture is not None and job.state == "done":
                task = OPEN if job.task.startswith(_example("")) else job.task
                picture.results.pop(task, None)  # so that the last is the latest
                picture.results[task] = {**job.result, "version": self.version}
            if job.state == "failed":
                job.message = self._ours.sub("", job.message)
            self._count()

    def _count(self) -> None:
        self.version += 1
        for listener in tuple(self.listeners):
            listener()


def _example(name: str) -> str:
    """The name of the task that makes an example."""
    return f"example {name}"


def _safe(name: str) -> str:
    """The name of a file without folders, and without what file systems do not take."""
    last = _REFUSED.sub(" ", re.split(r"[/\\]", name)[-1]).strip(" .")
    stem, dot, ending = last.rpartition(".")
    return f"{stem[:_LONGEST]}{dot}{ending[:10]}" if stem else (last[:_LONGEST] or "picture")

"""Which pictures are meant, and where the results go: names and trees are kept, and no input is written over."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...imaging.formats import format_of_folder, split_name, suffixes, written_ending
from ..outputs import is_our_psf

__all__ = ["Job", "are_many", "find_jobs"]


@dataclass(frozen=True)
class Job:
    """A picture, and the file for what is made of it."""

    source: Path
    output: Path


def are_many(sources: Sequence[Path], output: Path) -> bool:
    """Whether a folder is meant to take the results: several pictures are given, a folder or a pattern; or `output` is
    a folder or has the name of one, without an ending."""
    return len(sources) > 1 or _stands_for_several(sources[0]) or _is_folder(output) or not output.suffix


def _stands_for_several(source: Path) -> bool:
    return _is_folder(source) or (glob.has_magic(str(source)) and not source.exists())


def _is_folder(path: Path) -> bool:
    """Whether it is a folder of files, and not one stack."""
    return path.is_dir() and format_of_folder(path) is None


def _is_picture(path: Path) -> bool:
    """Whether it may be one: a file, or a folder that is one stack."""
    return path.is_file() or format_of_folder(path) is not None


def find_jobs(
    sources: Sequence[Path], folder: Path, *, suffix: str = "", recursive: bool = False, ending: str | None = None
) -> list[Job]:
    """The pictures and their outputs.

    Parameters
    ----------
    sources : sequence of Path
        Files, folders, of which all pictures are taken, and patterns such as ``holiday/*.jpg``. Below a folder, and
        below what stands before a pattern's first wildcard, the tree is kept.
    folder : Path
        Where the outputs go. What lies in it is no picture of a folder around it, nor are outputs and psfs of earlier
        runs.
    suffix : str
        Added to the names; with an ending of its own, such as ``-sharp.png`` or ``.tif``, it replaces the file's.
    recursive : bool
        Take the folders within folders, too.
    ending : str, optional
        That of all outputs without an ending in `suffix`; by default a file's own where such files are written, and
        ``.png``.

    Returns
    -------
    list of Job

    Raises
    ------
    FileNotFoundError
        There is nothing of this name, or no picture in all.
    ValueError
        `folder` has the name of a picture; two pictures would go to one file, or one over another.
    """
    if not _is_folder(folder) and folder.suffix.lower() in suffixes(written=True):
        raise ValueError(f"--output: {folder} is the name of one picture, and there are several; give a folder")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output: {folder} is a file, and there are several pictures; give a folder")
    jobs: dict[Path, Job] = {}
    found_in_folders = set()
    for source in sources:
        for path, below in _expand(source, folder, recursive):
            if path not in jobs:
                jobs[path] = Job(path, folder / below.parent / _renamed(below, suffix, ending))
                if path != source:
                    found_in_folders.add(path)
    outputs = {job.output for job in jobs.values()}
    made = {path for path in found_in_folders & outputs if jobs[path].output != path}  # by an earlier run
    return _checked([job for path, job in jobs.items() if path not in made], sources)


def _expand(source: Path, folder: Path, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """The files that one argument stands for, and their names below it."""
    if not _stands_for_several(source):
        if not source.exists():
            raise FileNotFoundError(f"{source}: No such file or directory")
        yield source, Path(source.name)
    elif source.is_dir():
        readable = suffixes()
        inside = folder.resolve() if folder.resolve() != source.resolve() else None
        for path in sorted(source.rglob("*") if recursive else source.iterdir()):
            ending = split_name(path)[1].lower()
            if not ending.endswith(readable) or path.name.startswith(".") or not _is_picture(path):
                continue
            if inside in path.resolve().parents or (path.stem.endswith("-psf") and is_our_psf(path)):
                continue
            yield path, path.relative_to(source)
    else:
        base = Path(*_before_wildcards(source))
        found = sorted(Path(name) for name in glob.glob(str(source), recursive=True))
        files = [path for path in found if _is_picture(path)]
        if not files:
            raise FileNotFoundError(f"{source}: no file matches")
        yield from ((path, path.relative_to(base)) for path in files)


def _before_wildcards(pattern: Path) -> Iterator[str]:
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _renamed(path: Path, suffix: str, ending: str | None) -> str:
    stem, own = split_name(path)
    if Path(f"x{suffix}").suffix:
        return stem + suffix
    return stem + suffix + (ending or written_ending(own))


def _checked(jobs: list[Job], sources: Sequence[Path]) -> list[Job]:
    if not jobs:
        raise FileNotFoundError(f"{', '.join(map(str, sources))}: no picture is in there (--recursive looks deeper)")
    inputs = {os.path.realpath(job.source): job.source for job in jobs}
    taken: dict[str, Path] = {}
    for job in jobs:
        place = os.path.realpath(job.output)
        if place in inputs:
            raise ValueError(f"--output: {job.output} is read; give another folder, or --suffix -sharp, say")
        if place in taken:
            raise ValueError(
                f"--output: {taken[place]} and {job.source} would both go to {job.output}; give the folder above them "
                "with --recursive, which keeps the tree, or a run for each"
            )
        taken[place] = job.source
    return jobs

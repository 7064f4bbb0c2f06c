"""The rows of `deconv.restore.METHODS` as ``deconv deblur --method`` takes them: by name, by time, with flags."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from ..choices import check_choice
from ..restore.methods import METHODS, Method

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AUTO", "DEFAULT", "Choice", "best", "choose", "listing", "warnings_in_lines"]

DEFAULT = "hyper_laplacian"
AUTO = "auto"

# Of an image of more samples, pixels times channels, one channel keeps all cores busy.
_LARGE = 2**22


@dataclass(frozen=True)
class Choice:
    """A method of the table, under its name there."""

    name: str
    method: Method

    def takes(self, parameter: str) -> bool:
        """Whether the method has a keyword that an option may give."""
        return parameter in self.method.keywords

    def keywords(self, options: Mapping[str, tuple[str, Any]], defaults: Mapping[str, Any]) -> dict[str, Any]:
        """What the method is called with besides image and psf.

        Parameters
        ----------
        options : mapping
            By the method's keyword, the flag that gave it and its value. Those that are None or False were not given;
            one that is given and that the method does not take is an error.
        defaults : mapping
            Values of the keywords that the method has and no option gives.

        Returns
        -------
        dict
            By keyword.

        Raises
        ------
        ValueError
            The method does not take an option; the message names those that it takes.
        """
        given = {name: pair for name, pair in options.items() if pair[1] is not None and pair[1] is not False}
        for name, (flag, _) in given.items():
            if not self.takes(name):
                others = ", ".join(flag for other, (flag, _) in options.items() if self.takes(other))
                raise ValueError(f"{flag}: {self.name} does not take it; it takes {others}")
        keywords = {name: value for name, value in defaults.items() if self.takes(name)}
        return keywords | {name: value for name, (_, value) in given.items()}

    def check_field(self, flag: str) -> None:
        """Refuse psfs that vary over the frame for a method that takes one psf only."""
        if self.method.one_convolution:
            takers = ", ".join(name for name, method in METHODS.items() if not method.one_convolution)
            raise ValueError(f"{flag}: {self.name} takes one psf for all of the frame; psfs that vary go with {takers}")

    def restore(
        self,
        image: Tensor,
        psf: Tensor,
        keywords: Mapping[str, Any],
        *,
        field: Tensor | None = None,
        tile: int | None = None,
        memory: int | None = None,
    ) -> Tensor:
        """Restore `image`.

        Parameters
        ----------
        image, psf : Tensor
            As for the method.
        keywords : mapping
            Of `keywords`.
        field : Tensor, optional
            Psfs `(gy, gx, kh, kw)` that take the place of `psf`.
        tile : int, optional
            Side of the tiles to restore one by one; by default the image as a whole, if it fits into the memory.
        memory : int, optional
            Bytes that it may take; by default any.

        Returns
        -------
        Tensor
            The restored image.
        """
        from ..restore import tiled

        space = image.ndim - 2
        with warnings_in_lines():
            size = psf.shape[2 - image.ndim :]
            if tile is None and (memory is None or not self._exceeds(memory, image, size, keywords)):
                if field is not None:
                    return self.method(image, None, psf_field=field, **keywords)
                return self.method(image, psf, **keywords)
            blur = _everywhere(psf, space) if field is None else field
            return tiled(self.method, image, blur, tile=tile, memory=memory, **keywords)

    def restore_frames(
        self, frames: Sequence[Tensor], psfs: Sequence[Tensor], keywords: Mapping[str, Any], *, memory: int
    ) -> Tensor:
        """`restore` for several frames of one latent image, with a psf for each."""
        from ..restore import tiled

        space = frames[0].ndim - 2
        size = [max(sides) for sides in zip(*(psf.shape[-space:] for psf in psfs), strict=True)]
        with warnings_in_lines():
            if not self._exceeds(memory, frames[0], size, keywords, count=len(frames)):
                return self.method(list(frames), list(psfs), **keywords)
            fields = [_everywhere(psf, space) for psf in psfs]
            return tiled(self.method, list(frames), fields, memory=memory, **keywords)

    def restore_in_turn(
        self,
        image: Tensor,
        psf: Tensor,
        keywords: Mapping[str, Any],
        *,
        field: Tensor | None = None,
        tile: int | None = None,
        memory: int | None = None,
    ) -> Tensor:
        """`restore` for the samples one by one, and in large images for the channels of methods that restore each by
        itself: the memory is that of one. Arguments as there."""
        import torch

        from ..progress import ProgressBar, heard_by

        samples, channels = image.shape[:2]
        apart = self.method.by_channel and image[0].numel() > _LARGE and not keywords.get("colours")
        parts = [(slice(b, b + 1), slice(c, c + 1)) for b in range(samples) for c in range(channels)]
        if not apart:
            parts = [(slice(b, b + 1), slice(None)) for b in range(samples)]
        if len(parts) == 1:
            return self.restore(image, psf, keywords, field=field, tile=tile, memory=memory)
        space, shown = image.ndim - 2, keywords.get("progress")

        def of(part: tuple[slice, slice], value: Any) -> Any:
            """The part of what there is one for each sample or channel."""
            if not isinstance(value, torch.Tensor) or value.ndim < 2:
                return value
            index = (own if n > 1 else slice(None) for own, n in zip(part, value.shape, strict=False))
            return value[tuple(index)]

        restored = torch.empty_like(image)
        with ProgressBar(self.name.replace("_", " "), len(parts), shown=shown, delay=1.0, unit="channel") as bar:
            for number, part in enumerate(parts):
                own = {name: of(part, value) for name, value in keywords.items()}
                own |= {"progress": False} if self.takes("progress") else {}
                its_psf = of(part, psf) if psf.ndim > space else psf
                with heard_by(lambda _, share, done=number: bar.update(done + share)):
                    restored[part] = self.restore(image[part], its_psf, own, field=field, tile=tile, memory=memory)
        return restored

    def _exceeds(
        self, memory: int, image: Tensor, psf: Sequence[int], keywords: Mapping[str, Any], count: int = 1
    ) -> bool:
        """Whether so many images as a whole take more, and may be restored in tiles."""
        from ..restore.memory import working_bytes

        if self.method.buffers is None or keywords.get("boundary", "unknown") != "unknown":
            return False
        samples = count * image.shape[0] * image.shape[1]
        width = image.element_size()
        return working_bytes(self.method, image.shape[2:], psf, samples=samples, itemsize=width) > memory


def _everywhere(psf: Tensor, space: int) -> Any:
    """A psf for tiles: one for each sample and channel would be taken for a grid of psfs."""
    if psf.ndim == space:
        return psf
    return (lambda y, x: psf) if space == 2 else (lambda z, y, x: psf)


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Say what a restoration warns of at once, in a line each, and not twice."""
    from ..restore import RestorationWarning

    said = set()

    def say(message: Warning | str, *_: Any) -> None:
        if str(message) not in said:
            said.add(str(message))
            typer.echo(f"deconv: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", RestorationWarning)
        warnings.showwarning = say
        yield


def choose(name: str) -> Choice | None:
    """The row called `name`; dashes and underscores are the same. None for ``auto``, see `best`."""
    key = name.lower().replace("-", "_")
    check_choice("--method", key, (AUTO, *METHODS))
    return None if key == AUTO else Choice(key, METHODS[key])


def best(image: Tensor, seconds: float) -> Choice:
    """The best method that restores the image within so many seconds; if none does, the quickest."""
    volume = image.ndim == 5
    quickest_first = sorted(
        (method.pace, name)
        for name, method in METHODS.items()
        if method.automatic and method.pace is not None and (method.volumes or not volume)
    )
    within = [name for pace, name in quickest_first if pace * image.numel() / 1e6 <= seconds]
    name = within[-1] if within else quickest_first[0][1]
    return Choice(name, METHODS[name])


def listing() -> str:
    """The methods, and what they are, for the help."""
    rows = "\n".join(f"  {name}: {method.summary}" for name, method in METHODS.items())
    return f"{', '.join(METHODS)}; or {AUTO}, the best within --budget.\n\n\b\n{rows}"

"""What a run does, as data: the model, the images and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .settings import Settings

__all__ = ["RunConfig"]

# What may change when a run is taken up again: how long it lasts and how it is watched.
_FREE = ("root", "steps", "time_limit", "validate_every", "validation_images")


@dataclass(frozen=True)
class RunConfig:
    """What a run does, as data.

    Parameters
    ----------
    family : str
        The row of `deconv.training.families` that builds the model and says what is minimised.
    model : mapping
        What the family's ``build`` is called with, besides the shape of the images.
    data, root, options : str, str and mapping
        See `deconv.training.load_data`.
    conditional : bool
        Train on the labels, too.
    settings : Settings
        The numbers.
    """

    family: str = "flow"
    model: Mapping[str, Any] = field(default_factory=dict)
    data: str = "patches"
    root: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    conditional: bool = False
    settings: Settings = field(default_factory=Settings)

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> RunConfig:
        """The inverse of `to_json`."""
        return cls(**{**record, "settings": Settings(**record["settings"])})

    def changed(
        self,
        *,
        model: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        **own: Any,
    ) -> RunConfig:
        """The configuration with some values replaced, section by section; None stands for one that is not given.

        Another data set comes without the root and the options of the one before.

        Parameters
        ----------
        model, options, settings : mapping, optional
            Values of these sections.
        **own : Any
            `family`, `data`, `root` and `conditional`.

        Returns
        -------
        RunConfig
            The new one.
        """
        own, options = _given(own), _given(options)
        if own.get("data", self.data) != self.data:
            own = {"root": None, **own}
        else:
            options = {**self.options, **options}
        return replace(
            self,
            **own,
            model={**self.model, **_given(model)},
            options=options,
            settings=replace(self.settings, **_given(settings)),
        )

    def continued(self, **sections: Any) -> RunConfig:
        """The configuration with some values replaced, as `changed` does, for the rest of a run that has begun.

        Parameters
        ----------
        **sections : Any
            As `changed` takes them.

        Returns
        -------
        RunConfig
            The new one.

        Raises
        ------
        ValueError
            A value that would make it another run.
        """
        new = self.changed(**sections)
        before, after = _flat(self), _flat(new)
        for name in after:
            if name.removeprefix("settings ") not in _FREE and before.get(name) != after[name]:
                raise ValueError(
                    f"{name}: the run was begun with {before.get(name)!r}, given {after[name]!r}; only "
                    f"{', '.join(_FREE)} may change when it is taken up again"
                )
        return new


def _given(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (values or {}).items() if value is not None}


def _flat(config: RunConfig) -> dict[str, Any]:
    """Every value by section and name."""
    flat: dict[str, Any] = {}
    for section, value in config.to_json().items():
        flat |= {f"{section} {name}": v for name, v in value.items()} if isinstance(value, dict) else {section: value}
    return flat

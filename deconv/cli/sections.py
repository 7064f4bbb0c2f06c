"""The sections of the help of commands that have many options: each of their options is made by one of these."""

from __future__ import annotations

from functools import partial
from typing import Any

from typer import Option

__all__ = [
    "GENERAL",
    "blur_option",
    "data_option",
    "file_option",
    "flow_option",
    "general_option",
    "machine_option",
    "many_option",
    "restoration_option",
    "run_option",
    "training_option",
]

# What comes last, with --help.
GENERAL = "Options"


def _in(title: str) -> Any:
    return partial(Option, rich_help_panel=title)


file_option = _in("Files")
blur_option = _in("Blur")
restoration_option = _in("Restoration")
many_option = _in("Several pictures")

run_option = _in("Run")
data_option = _in("Data")
flow_option = _in("Flow")
training_option = _in("Training")

machine_option = _in("Time and memory")
general_option = _in(GENERAL)

"""The command's parts put together. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from .benches import benches
from .blur import blur
from .combine import combine
from .deblur import deblur
from .diagnose import diagnose
from .estimate_kernel import estimate_kernel
from .evaluate import evaluate
from .explain import explain
from .export import export
from .info import info
from .late_help import Commands, LateHelp
from .page import page
from .psf import psfs
from .sample import sample
from .train import train

__all__ = ["app"]


class _AllCommands(Commands):
    def invoke(self, ctx: typer.Context) -> Any:
        """Typer takes the end of any file for the end of its input, and adds an empty line."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise ValueError(f"a file ends too early: {error}") from error


# Help is as wide as the terminal, up to so many columns.
_WIDEST = 100

app = typer.Typer(
    cls=_AllCommands,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDEST},
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deconv {metadata.version('deconv-toolkit')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def deconv(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Image deblurring and deconvolution.

    \b
    Examples:
      deconv blur photo.png -o blurred.png --psf motion:15,30 --noise 1%
      deconv deblur blurred.png -o sharp.png --psf motion:15,30
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the pictures go.")] = Path(
        "demo"
    ),
) -> None:
    """Blur a bundled photograph, restore it, and write the comparison.

    \b
    Example:
      deconv demo -o demo
    """
    from .demo import run

    run(output)


for _command in (deblur, combine, diagnose, estimate_kernel, blur, train, sample, evaluate, export, demo, info):
    app.command(cls=LateHelp)(_command)
app.command("app", cls=LateHelp)(page)
app.command("help", cls=LateHelp, context_settings={"ignore_unknown_options": True})(explain)
app.add_typer(benches, name="bench")
app.add_typer(psfs, name="psf")

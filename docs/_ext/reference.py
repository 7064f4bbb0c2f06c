"""The pages of the API reference, one a package, listing what its ``__all__`` lists."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

PACKAGES = (
    "deconv",
    "deconv.restore",
    "deconv.blind",
    "deconv.imaging",
    "deconv.imaging.psf",
    "deconv.ops",
    "deconv.nn",
    "deconv.flows",
    "deconv.prior",
    "deconv.training",
    "deconv.solvers",
    "deconv.interop",
)


def _first_paragraph(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")


def _home(name: str) -> str:
    """Where a name of the top level has its page: the subpackage that lists it."""
    for package in PACKAGES[1:]:
        if name in importlib.import_module(package).__all__:
            return f"{package}.{name}"
    raise LookupError(f"deconv.{name} is in no subpackage")


def _page(package: str) -> str:
    module = importlib.import_module(package)
    top = package == PACKAGES[0]
    kinds: dict[str, list[str]] = {"Functions": [], "Classes": [], "Data": []}
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.ismodule(thing):
            continue
        kind = "Classes" if inspect.isclass(thing) else "Functions" if callable(thing) else "Data"
        kinds[kind].append(name)
    title = package
    lines = [title, "=" * len(title), "", _first_paragraph(module), ""]
    lines += [] if top else [f".. currentmodule:: {package}", ""]
    for kind, names in kinds.items():
        if names:
            lines += [kind, "-" * len(kind), "", ".. autosummary::", "   :nosignatures:"]
            lines += [""] if top else ["   :toctree: generated", ""]
            lines += [f"   ~{_home(name)}" if top else f"   {name}" for name in names] + [""]
    return "\n".join(lines)


def write(app, config) -> None:
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    for package in PACKAGES:
        path, text = folder / f"{package}.rst", _page(package)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def setup(app) -> dict[str, bool]:
    # Before the pages are looked for, of which autosummary then reads what to generate.
    app.connect("config-inited", write)
    return {"parallel_read_safe": True}

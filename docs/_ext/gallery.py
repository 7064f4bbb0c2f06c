"""The figures of the notebooks as files, and the gallery: a card for each notebook, with the figure of the cell that is
tagged `thumbnail`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat

CARD = """:::{{grid-item-card}} {title}
:link: copied/notebooks/{name}
:link-type: doc
:img-top: copied/figures/{figure}

{words}
:::
"""


def _figures(notebook: nbformat.NotebookNode) -> Iterator[tuple[bool, str, bytes]]:
    """Whether its cell is tagged, kind and content of each figure."""
    for cell in notebook.cells:
        tagged = "thumbnail" in cell.metadata.get("tags", ())
        for output in cell.get("outputs", ()):
            for kind, data in output.get("data", {}).items():
                if kind.startswith("image/"):
                    yield tagged, kind.removeprefix("image/"), base64.b64decode(data)


def write(app, config) -> None:
    folder = Path(app.srcdir) / "copied"
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    cards = []
    for path in sorted((Path(app.srcdir).parent / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        shown = ""
        for number, (tagged, kind, content) in enumerate(_figures(notebook), start=1):
            figure = f"{path.stem}-{number}.{kind}"
            (folder / "figures" / figure).write_bytes(content)
            shown = figure if tagged or not shown else shown
        title, _, text = notebook.cells[0].source.removeprefix("# ").partition("\n")
        says = re.search(r"This notebook\s(.+?\.)(?=\s|$)", text, flags=re.DOTALL)
        words = (says[1] if says else text.strip().partition("\n\n")[0]).replace("\n", " ")
        cards.append(CARD.format(title=title, name=path.stem, figure=shown, words=words[0].upper() + words[1:]))
    (folder / "gallery.md").write_text("\n".join(["::::{grid} 1 2 2 3", ":gutter: 3", "", *cards, "::::"]))


def setup(app) -> dict[str, bool]:
    app.connect("config-inited", write)
    return {"parallel_read_safe": True}

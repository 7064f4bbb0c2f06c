"""The pages of the site: their examples run, their links lead somewhere, and they name what there is."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from deconv.restore.methods import METHODS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if not {"_build", "copied"} & set(page.relative_to(ROOT).parts)]
FINDINGS = sorted(path.stem for path in (ROOT / "findings").glob("*.sh") if path.stem != "environment")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_examples_run(page):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testfile(str(page), module_relative=False, optionflags=flags).failed == 0


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_inside_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", page.read_text()):
        _, copied, source = target.partition("copied/")  # made when the site is built
        place = ROOT / source if copied else page.parent / target
        found = [place.with_name(place.name + suffix) for suffix in ("", ".md", ".ipynb")]
        assert any(path.exists() for path in found), f"{_name(page)}: {target}"


def test_every_finding_is_told():
    told = set(re.findall(r"\(`(\w+)`", (ROOT / "docs" / "findings.md").read_text()))
    assert told == set(FINDINGS)
    assert len(FINDINGS) >= 8


def test_which_method_when_lists_the_methods():
    page = (ROOT / "docs" / "how_to" / "which_method.md").read_text()
    listed = re.findall(r"^\| `(\w+)`", page, flags=re.MULTILINE)
    assert set(listed) - {"auto"} == set(METHODS)


def test_the_architecture_names_files_that_exist():
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([a-z_]+/[a-z_/]+(?:\.py)?)`", page))
    assert len(named) > 25
    assert not [name for name in named if not (ROOT / "deconv" / name).exists()]

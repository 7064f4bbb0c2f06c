"""The pages of the site: their examples run, their links lead somewhere, and they name what there is."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from deconv.cli.app import app
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


def _commands() -> list[str]:
    """Every line of the pages' shell blocks that runs the command, without its comment."""
    blocks = [block for page in PAGES for block in re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL)]
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return sorted({line for line in lines if line.startswith("deconv ")})


@pytest.fixture(scope="module")
def command():
    return get_command(app)


@pytest.mark.parametrize("line", _commands())
def test_commands_take_their_options(command, line):
    words = shlex.split(line)[1:]
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("deconv", words)  # parses, and runs nothing


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=_name)
def test_commands_in_the_text_exist(command, page):
    """With their options; what they are given may be left out there."""
    for said in re.findall(r"`deconv ([a-z][^`\n]*)`", page.read_text()):
        named, *words = command, *said.split()
        while words and re.fullmatch(r"[a-z-]+", words[0]) and hasattr(named, "commands"):
            named = named.commands[words.pop(0)]
        options = {option for parameter in named.params for option in (*parameter.opts, *parameter.secondary_opts)}
        asked = re.findall(r"(?<![\w-])--?[a-z][\w-]*", " ".join(words))
        assert set(asked) <= {*options, "--help"} or named.name == "help", said


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

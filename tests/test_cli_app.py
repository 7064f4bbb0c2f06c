"""The command as a whole: its help, its commands that only hand on what they are given, and what it imports."""

from __future__ import annotations

import re
import subprocess
import sys
import types

import pytest
import torch
from typer.main import get_command

import deconv
from deconv.cli.app import app

pytestmark = pytest.mark.usefixtures("here")


def test_every_help_fits_into_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    commands = [get_command(app)]
    for command in commands:
        commands += getattr(command, "commands", {}).values()
        if command.params and not hasattr(command, "commands"):
            command.main(["--help"], prog_name="deconv", standalone_mode=False)
            out = capsys.readouterr().out
            assert max(map(len, out.splitlines())) <= 80, command.name
            described = re.split(r"^\w[\w ]*:$", out, flags=re.MULTILINE)[0]
            examples = re.findall(r"^    (?:deconv .*|  --.*)", described, flags=re.MULTILINE)
            given = re.findall(r"^  (?:deconv .*|  --.*)", command.help or "", flags=re.MULTILINE)
            assert [line.strip() for line in examples] == [line.strip() for line in given]


@pytest.mark.parametrize("command", ["", "deblur", "blur", "demo", "info", "bench", "bench solver"])
def test_every_help_has_an_example(tries, command):
    status, out, _ = tries(*command.split(), "--help")
    assert status == 0
    assert "Example" in out
    assert f"deconv {command}" in out


def test_the_help_of_deblur_is_read_in_three_screens(tries, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = tries("deblur", "--help")
    assert len(out.splitlines()) < 130
    titles = re.findall(r"^(\w[\w ]+):$", out, flags=re.MULTILINE)
    assert titles == ["Arguments", "Files", "Blur", "Restoration", "Time and memory", "Several pictures", "Options"]
    for text in ("--psf FILE|SPEC", "--report FILE.json", "deconv help deblur OPTION"):
        assert text in out


def test_help_says_what_is_said_in_short_and_more(tries, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, short, _ = tries("deblur", "--help")
    _, whole, _ = tries("help", "deblur")
    said = " ".join(whole.split())
    options = re.findall(r"^ *(?:-\w, )?(--[\w-]+)", short, flags=re.MULTILINE)
    assert len(options) > 40
    assert not [option for option in options if option not in said]
    assert "hyper_laplacian: photographs, the default" not in short
    assert "hyper_laplacian: photographs, the default" in whole
    for words in (("--method",), ("method",), ("-m",)):
        _, one, _ = tries("help", "deblur", *words)
        assert "hyper_laplacian: photographs, the default" in one
        assert "--sigma" not in one
    assert "camera raw" in tries("help", "deblur", "in")[1]
    assert tries("help")[1] == tries("--help")[1]
    assert tries("help", "bench", "solver")[1].startswith("Usage: deconv bench solver")
    status, _, err = tries("help", "deblur", "--mehtod")
    assert status == 2
    assert "unknown '--mehtod', allowed are --background, " in err
    assert "unknown 'debluhr', allowed are deblur, " in tries("help", "debluhr")[2]


def test_commands_are_told_in_whole_sentences(tries, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for words in ((), ("bench",), ("psf",)):
        _, out, _ = tries(*words, "--help")
        listed = out.partition("Commands:")[2].split()
        assert not [word for word in listed if word.endswith(("...", "…"))]


def test_no_arguments_is_help(tries):
    for arguments in ((), ("bench",)):
        status, out, err = tries(*arguments)
        assert (status, err) == (0, "")
        assert "Commands" in out


def test_info_lists_the_solvers_with_reasons(tries):
    status, out, _ = tries("info")
    assert status == 0
    for word in ("torch", torch.__version__, "threads", "compiled", "blocked", "reference", "pure torch"):
        assert word in out


def test_bench_solver_hands_its_options_on(tries, monkeypatch):
    seen = {}

    def bench(**options):
        seen.update(options)
        return types.SimpleNamespace(correct=seen["rows"] != [2])

    monkeypatch.setitem(sys.modules, "deconv.bench.solver", types.SimpleNamespace(main=bench))
    arguments = ("bench", "solver", "--rows", "1,8", "--threads", "1", "--json", "a.json", "--no-growth")
    assert tries(*arguments)[0] == 0
    assert seen["rows"] == [1, 8]
    assert seen["threads"] == [1]
    assert str(seen["json"]) == "a.json"
    assert (seen["growth"], seen["memory"], seen["solver"]) == (False, True, None)
    assert tries("bench", "solver", "--rows", "2")[0] == 1
    for text in ("many", "0", ""):
        status, _, err = tries("bench", "solver", "--rows", text)
        assert status == 2
        assert err.startswith("deconv: --rows: expected whole numbers from 1")


def test_demo_is_given_its_folder(tries, monkeypatch):
    seen = []
    module = types.ModuleType("deconv.cli.demo")
    module.run = lambda output: seen.append(str(output))
    monkeypatch.setitem(sys.modules, "deconv.cli.demo", module)
    assert tries("demo", "-o", "there")[0] == 0
    assert seen == ["there"]


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_the_module_is_the_command():
    done = python("-m", "deconv", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("deconv ")
    assert python("-m", "deconv", "frobnicate").returncode == 2


def test_help_loads_nothing_heavy():
    """The command's own modules do not: the package around them is a bare one here."""
    code = (
        "import sys, types\n"
        f"package = types.ModuleType('deconv'); package.__path__ = {list(deconv.__path__)}\n"
        "sys.modules['deconv'] = package\n"
        "from deconv.cli import main\n"
        "assert main(['--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'numba', 'scipy', 'skimage', 'cv2', 'PIL', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr

"""Benchmarks that write figures to a file: one that could not be written is refused before anything is measured."""

from __future__ import annotations

import pytest

from deconv.bench.output import write_json


@pytest.mark.parametrize(
    "command",
    ["solver", "fields", "restore", "restore --volumes", "prior --root none", "posterior --root none", "flows"],
)
def test_a_folder_that_is_missing_is_named(tries, tmp_path, command):
    flag = "--out" if command == "flows" else "--json"
    status, out, err = tries("bench", *command.split(), flag, tmp_path / "missing" / "figures")
    assert (status, out) == (2, "")
    assert err == f"deconv: {flag[2:]}: the directory of {tmp_path / 'missing' / 'figures'} does not exist\n"


def test_figures_are_written_where_they_are_asked_for(tmp_path):
    write_json(None, [1])
    write_json(tmp_path / "figures.json", {"psnr": [1.5, None]})
    assert (tmp_path / "figures.json").read_text().split() == ["{", '"psnr":', "[", "1.5,", "null", "]", "}"]

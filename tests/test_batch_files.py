"""Which pictures are meant by files, folders and patterns, and where the results go."""

from __future__ import annotations

from pathlib import Path

import pytest

from deconv.cli.batch.files import Job, are_many, find_jobs
from deconv.cli.outputs import write_psf
from deconv.imaging.psf import gaussian


@pytest.fixture(autouse=True)
def pictures(here) -> None:
    for name in ("a.jpg", "in/a.jpg", "in/b.PNG", "in/notes.txt", "in/deep/a.jpg", "in/deep/c.bmp", "in/.hidden.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")


def outputs(*sources: str, to: str = "out", **options) -> dict[str, str]:
    jobs = find_jobs([Path(source) for source in sources], Path(to), **options)
    return {job.source.as_posix(): job.output.as_posix() for job in jobs}


def test_names_and_trees_are_kept():
    flat = {"in/a.jpg": "out/a.jpg", "in/b.PNG": "out/b.PNG"}
    assert outputs("in") == outputs("in/*.jpg", "in/*.PNG") == flat
    deep = {"in/deep/a.jpg": "out/deep/a.jpg", "in/deep/c.bmp": "out/deep/c.png"}  # BMP is not written
    assert outputs("in", recursive=True) == outputs("in/**/*.[jbP]*") == flat | deep
    assert outputs("a.jpg", "in/b.PNG", "a.jpg") == {"a.jpg": "out/a.jpg", "in/b.PNG": "out/b.PNG"}


def test_suffixes():
    assert outputs("in", suffix="-sharp") == {"in/a.jpg": "out/a-sharp.jpg", "in/b.PNG": "out/b-sharp.PNG"}
    assert outputs("in", suffix="-sharp.tif") == {"in/a.jpg": "out/a-sharp.tif", "in/b.PNG": "out/b-sharp.tif"}
    assert outputs("in", suffix=".tif") == {"in/a.jpg": "out/a.tif", "in/b.PNG": "out/b.tif"}
    assert outputs("in", ending=".png") == {"in/a.jpg": "out/a.png", "in/b.PNG": "out/b.png"}


def test_endings_of_two_parts():
    """A frame that is packed is written unpacked, and not as a PNG; what says OME stays at the end."""
    for name in ("sky/a.fits.fz", "sky/b.fits.gz", "sky/notes.txt.gz", "sky/cells.ome.tif"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"")
    assert outputs("sky", suffix="-sharp") == {
        "sky/a.fits.fz": "out/a-sharp.fits",
        "sky/b.fits.gz": "out/b-sharp.fits",
        "sky/cells.ome.tif": "out/cells-sharp.ome.tif",
    }
    assert outputs("sky/a.fits.fz", suffix=".tif") == {"sky/a.fits.fz": "out/a.tif"}


def test_what_earlier_runs_have_made_is_no_picture():
    expected = outputs("in", to="in", suffix="-sharp", recursive=True)
    assert len(expected) == 4
    for name in expected.values():
        Path(name).write_bytes(b"")
    write_psf(Path("in/a-sharp-psf.png"), gaussian(1.0))
    assert outputs("in", to="in", suffix="-sharp", recursive=True) == expected
    within = outputs("in", to="in/sharp", recursive=True)
    Path("in/sharp/deep").mkdir(parents=True)
    for name in within.values():
        Path(name).write_bytes(b"")
    assert not any(name.startswith("in/sharp") for name in outputs("in", to="in/sharp", recursive=True))


@pytest.mark.parametrize(
    ("sources", "to", "error", "words"),
    [
        (["in"], "in", ValueError, "in/a.jpg is read"),
        (["in/a.jpg", "in/b.PNG"], "link", ValueError, "link/a.jpg is read"),
        (["a.jpg", "in/a.jpg"], "out", ValueError, "a.jpg and in/a.jpg would both go to out/a.jpg"),
        (["in"], "out.png", ValueError, "out.png is the name of one picture"),
        (["in"], "in/notes.txt", ValueError, "notes.txt is a file"),
        (["in", "missing.jpg"], "out", FileNotFoundError, "missing.jpg"),
        (["in/*.gif"], "out", FileNotFoundError, r"in/\*.gif: no file matches"),
        (["empty"], "out", FileNotFoundError, "empty: no picture"),
    ],
)
def test_what_will_not_do_is_refused_before_any_work(sources, to, error, words):
    Path("empty").mkdir()
    Path("link").symlink_to("in")
    with pytest.raises(error, match=words):
        outputs(*sources, to=to)


@pytest.mark.parametrize(
    ("sources", "to", "many"),
    [
        (["a.jpg"], "b.jpg", False),
        (["missing[1].jpg"], "b.jpg", True),
        (["a.jpg"], "in", True),
        (["a.jpg"], "new", True),
        (["in"], "b.jpg", True),
        (["a.jpg", "in/b.PNG"], "b.jpg", True),
    ],
)
def test_one_or_many(sources, to, many):
    assert are_many([Path(source) for source in sources], Path(to)) == many


def test_a_name_with_brackets_is_no_pattern():
    Path("x[1].jpg").write_bytes(b"")
    assert outputs("x[1].jpg") == {"x[1].jpg": "out/x[1].jpg"}
    assert find_jobs([Path("x[1].jpg")], Path("out")) == [Job(Path("x[1].jpg"), Path("out/x[1].jpg"))]

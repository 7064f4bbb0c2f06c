"""What the page has done to a picture is what the command does to it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import deconv
from deconv.cli import main, page, page_tasks
from deconv.imaging import read_image, write_image
from deconv.imaging.files import read_picture
from deconv.imaging.psf import motion
from deconv.page.settings import Settings

TOLD = Settings(psf="motion:7,30", method="wiener")


@pytest.fixture
def source(tmp_path) -> Path:
    """A small photograph, blurred, 16 bits, with notes and opacity."""
    path = tmp_path / "1" / "source" / "small.png"
    path.parent.mkdir(parents=True)
    sharp = skimage.data.astronaut()[60:120, 180:250] / 255
    blurred = deconv.degrade(sharp, motion(7, 30), noise=0.002, seed=0)
    write_image(path, blurred.clip(0, 1), bits=16)
    return path


def do(task, source: Path, settings: Settings = TOLD, **more) -> dict:
    return task(source, source.parent.parent, settings, max_pixels=10**6, **more)


def shown(source: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(source.parent.parent / "made" / name)).astype(float)


def test_saved_is_what_the_command_writes(source, tmp_path):
    opened = do(page_tasks.open_picture, source)
    assert (opened["width"], opened["height"]) == shown(source, "before.png").shape[1::-1]
    restored = do(page_tasks.restore, source)
    saved = do(page_tasks.save, source)
    assert saved["name"] == "small-sharp.png"
    ours = source.parent.parent / "saved" / "small-sharp.png"
    words = restored["command"]
    assert words[:2] == ["deconv", "deblur"]
    assert main([*words[1:2], str(source), "-o", str(tmp_path / "theirs.png"), *words[5:], "--quiet"]) == 0
    assert read_image(ours).dtype == np.uint16
    np.testing.assert_array_equal(read_image(ours), read_image(tmp_path / "theirs.png"))


def test_other_kinds_of_file_keep_the_notes(source):
    like = read_picture(source)
    exif = Image.Exif()
    exif[0x010F] = "camera"
    write_image(source, like.pixels, like=type(like)(like.pixels, exif=exif.tobytes()))
    do(page_tasks.open_picture, source)
    do(page_tasks.restore, source)
    for ending, dtype in ((".tif", np.uint16), (".jpg", np.uint8)):
        name = do(page_tasks.save, source, Settings(ending=ending))["name"]
        picture = read_picture(source.parent.parent / "saved" / name)
        assert picture.pixels.dtype == dtype
        assert b"camera" in picture.exif


def test_a_preview_is_a_part_of_the_whole(source):
    """Its surroundings take part: inside it looks as the whole does."""
    do(page_tasks.open_picture, source)
    do(page_tasks.restore, source)
    x, y, w, h = 12, 10, 36, 30
    part = do(page_tasks.preview, source, Settings(psf="motion:7,30", method="wiener", region=(x, y, w, h)))
    assert part["region"] == [x, y, w, h]
    whole = shown(source, "restored.png")[y : y + h, x : x + w]
    difference = np.sqrt(np.mean((shown(source, "preview.png") - whole) ** 2))
    unrestored = np.sqrt(np.mean((shown(source, "before.png")[y : y + h, x : x + w] - whole) ** 2))
    assert difference < unrestored / 4
    with pytest.raises(ValueError, match="lies outside"):
        do(page_tasks.preview, source, Settings(psf="motion:7,30", region=(500, 0, 9, 9)))


def test_a_large_picture_is_restored_in_tiles(source, monkeypatch):
    do(page_tasks.open_picture, source)
    do(page_tasks.restore, source)
    whole = shown(source, "restored.png")
    monkeypatch.setattr(page_tasks, "_LARGE", 1000)
    monkeypatch.setattr(page_tasks, "_TILE", 40)
    assert do(page_tasks.restore, source)["command"][-2:] == ["--tiles", "40"]
    assert np.sqrt(np.mean((shown(source, "restored.png") - whole) ** 2)) < 3


def test_a_psf_from_a_file(source):
    do(page_tasks.open_picture, source)
    with pytest.raises(ValueError, match="psf: expected a file"):
        do(page_tasks.restore, source, Settings(psf="file", method="wiener"))
    (source.parent.parent / "psf").mkdir()
    np.save(source.parent.parent / "psf" / "mine.npy", motion(7, 30).numpy())
    do(page_tasks.restore, source)
    told = shown(source, "restored.png")
    do(page_tasks.restore, source, Settings(psf="file", method="wiener"))
    np.testing.assert_array_equal(shown(source, "restored.png"), told)


@pytest.fixture
def found(monkeypatch) -> list:
    """Estimates that take no time: whether one is found, and those that were asked for."""
    answers: list = []

    def find(picture, search):
        answers.append(search)
        h = motion(7, 30)
        why = () if search.linear is not False else ("it is sharp",)
        return deconv.blind.KernelEstimate(h, None, 0.0, (), why, 0.0 if why else 0.9), bool(search.linear)

    monkeypatch.setattr(page_tasks, "find_blur", find)
    return answers


def test_an_estimate_is_told_in_words_and_made_once(source, found):
    do(page_tasks.open_picture, source)
    told = do(page_tasks.estimate, source, Settings())
    assert told["words"] == "the camera moved straight over about 7 pixels, at 30 degrees"
    assert told["confidence"] == 0.9
    assert shown(source, "psf.png").max() == 255
    for method in ("wiener", "tikhonov"):
        do(page_tasks.restore, source, Settings(method=method))
    assert len(found) == 1
    do(page_tasks.restore, source, Settings(method="wiener", linear=True))
    assert len(found) == 2, "another light is another estimate"
    do(page_tasks.restore, source, Settings(method="wiener", linear=True, model="motion"))
    assert [search.model for search in found] == ["auto", "auto", "motion"]


def test_a_sharp_frame_stays_as_it_is(source, monkeypatch):
    """And what is inside comes out as without it; a region may reach over its edge."""
    settings = Settings(method="wiener", linear=False)
    frame = deconv.blind.picture_frame.PictureFrame(top=9, left=5)
    found = deconv.blind.KernelEstimate(motion(7, 30), None, 0.0, (), (), 0.9, frame=frame)
    monkeypatch.setattr(page_tasks, "find_blur", lambda *_: (found, False))
    inside = read_image(source)
    framed = np.pad(inside, ((9, 0), (5, 0), (0, 0)), constant_values=60000)
    write_image(source, framed)
    do(page_tasks.open_picture, source)
    assert "left out is a sharp frame, in pixels: above 9, left 5" in do(page_tasks.restore, source, settings)["psf"]
    restored = np.load(source.parent.parent / "made" / "restored.npy")
    np.testing.assert_allclose(restored[..., :9, :], 60000 / 65535, rtol=1e-6)
    np.testing.assert_allclose(restored[..., :5], 60000 / 65535, rtol=1e-6)
    x, y, w, h = 2, 20, 20, 20
    do(page_tasks.preview, source, Settings(method="wiener", linear=False, region=(x, y, w, h)))
    whole = shown(source, "restored.png")[y : y + h, x : x + w]
    assert np.abs(shown(source, "preview.png") - whole).mean() < 1
    with pytest.raises(ValueError, match="lies in the frame"):
        do(page_tasks.preview, source, Settings(method="wiener", linear=False, region=(0, 0, 30, 8)))

    write_image(source, inside)
    page_tasks._read.cache_clear()
    alone = deconv.blind.KernelEstimate(motion(7, 30), None, 0.0, (), (), 0.9)
    monkeypatch.setattr(page_tasks, "find_blur", lambda *_: (alone, False))
    (source.parent.parent / "made" / "psf.json").unlink()
    page_tasks._noise.cache_clear()
    do(page_tasks.restore, source, settings)
    np.testing.assert_allclose(
        restored[..., 9:, 5:], np.load(source.parent.parent / "made" / "restored.npy"), atol=1e-5
    )


def test_a_result_that_is_no_better_is_said_to_be_so(source, found, monkeypatch):
    """Of an estimated psf only; by the picture, whole or a part."""
    do(page_tasks.open_picture, source)
    assert do(page_tasks.restore, source, Settings(method="wiener"))["warning"] is None
    monkeypatch.setattr("deconv.blind.comparison.compare", lambda *images: (9.0, 0.0))
    assert do(page_tasks.restore, source)["warning"] is None
    for task in (page_tasks.restore, page_tasks.preview):
        assert "does not explain the blurred one" in do(task, source, Settings(method="wiener"))["warning"]


def test_a_picture_without_blur_is_left_as_it_is(source, found):
    do(page_tasks.open_picture, source)
    settings = Settings(method="wiener", linear=False)
    assert do(page_tasks.estimate, source, settings)["words"] == "it is sharp"
    with pytest.raises(ValueError, match="no blur is found that is to be trusted; to try"):
        do(page_tasks.restore, source, settings)


@pytest.mark.parametrize("name", page_tasks.EXAMPLES)
def test_examples_are_blurred_photographs(tmp_path, name):
    path = tmp_path / "1" / "source" / f"{name}.png"
    path.parent.mkdir(parents=True)
    opened = do(page_tasks.example, path, name=name)
    assert opened["photograph"]
    assert min(opened["width"], opened["height"]) > 250


def test_the_page_offers_what_there_is():
    choices = page.choices()
    assert next(iter(choices["methods"])) == "hyper_laplacian"
    assert set(deconv.restore.METHODS) < set(choices["methods"])
    assert choices["endings"]["PNG"] == ".png"


def test_without_the_extra_one_line_names_it(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "deconv.page.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["app", "--no-browser"]) == 2
    said = capsys.readouterr().err
    assert said == 'deconv: app: needs uvicorn; install the extra: pip install "deconv-toolkit[app]"\n'

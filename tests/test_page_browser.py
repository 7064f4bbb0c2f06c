"""The page in a real browser, as a person uses it: a headless Chromium, on pictures of 128 pixels."""

from __future__ import annotations

import base64
import os
import shutil
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import page_tasks
import pytest
import skimage.data
from PIL import Image

import deconv
from deconv.cli import page as page_command
from deconv.imaging import read_image, write_image
from deconv.imaging.psf import motion
from deconv.page.session import Session

pytest.importorskip("starlette", reason="the extra app is not installed")
pytest.importorskip("uvicorn", reason="the extra app is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from deconv.page import server  # noqa: E402

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if BROWSER is None:
    pytest.skip("no Chromium is installed (apt-get install chromium)", allow_module_level=True)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A page whose tasks are those of the command, but for the estimate, which is told."""
    tasks, examples = page_command.tasks(10**6)
    session = Session(tasks | {"estimate": page_tasks.told}, examples, max_bytes=10**6)
    socket = server.listen()
    port = socket.getsockname()[1]
    running = server.Server(session, page_command.choices(), port=port, key="secret")
    thread = threading.Thread(target=running.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}/?key=secret"
    running.should_exit = True
    thread.join()
    session.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
        with driver.chromium.launch(executable_path=BROWSER, args=arguments) as browser:
            yield browser


@pytest.fixture(scope="module")
def page(browser, address) -> Iterator[Any]:
    """The page in a window for all tests, which must ask nobody else for anything and have nothing to complain of."""
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.set_default_timeout(30_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith(address.split("?")[0]) or complaints.append(asked.url))
    page.goto(address)
    yield page
    assert not [each for each in complaints if "status of 400" not in each]  # a refusal, which a test asks for


@pytest.fixture(scope="module")
def photograph(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photographs") / "photograph.png"
    sharp = skimage.data.astronaut()[60:194, 180:320] / 255
    write_image(path, deconv.degrade(sharp, motion(13, 30), noise=0.002, seed=0).clip(0, 1), bits=16)
    return path


@pytest.fixture
def opened(page, photograph) -> Any:
    """The page with one picture."""
    rows = page.locator("#pictures li")
    for left in reversed(range(rows.count())):
        page.get_by_role("button", name="Remove").first.click()
        playwright.expect(rows).to_have_count(left)
    page.set_input_files("#files", photograph)
    page.wait_for_selector("#pictures li.chosen[data-state=done]")
    page.wait_for_selector("#empty", state="hidden")
    page.get_by_role("button", name="1:1").click()
    return page


def seen(page) -> np.ndarray:
    """What the canvas shows, around its middle."""
    data = page.evaluate("document.getElementById('canvas').toDataURL()").partition(",")[2]
    return np.asarray(Image.open(BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


def restored_here(page, button: str) -> None:
    page.select_option("#psf", "motion")
    page.fill("#length", "13")
    page.fill("#angle", "30")
    page.select_option("#method", "wiener")
    page.click(button)
    page.wait_for_selector("#done:not(:empty)")
    page.wait_for_selector("#pictures li.chosen[data-state=done]")


def test_a_pixel_is_a_pixel(opened, photograph):
    """At 1:1 the canvas shows what is in the file, in its middle."""
    expected = np.round(read_image(photograph) / 257).astype(int)
    height, width = expected.shape[:2]
    opened.wait_for_timeout(200)
    canvas = seen(opened)
    top, left = round(canvas.shape[0] / 2 - height / 2), round(canvas.shape[1] / 2 - width / 2)
    assert np.abs(canvas[top : top + height, left : left + width] - expected).max() <= 1


def test_the_wheel_zooms_around_the_pointer(opened):
    """A pixel becomes a square; what is under the pointer stays there; and all the way out the picture is whole."""
    opened.wait_for_timeout(200)
    whole = seen(opened)
    box = opened.locator("#canvas").bounding_box()
    row, column = (round(side / 2) - 20 for side in whole.shape[:2])  # in the picture
    opened.mouse.move(box["x"] + column, box["y"] + row)
    opened.mouse.wheel(0, -800)
    opened.wait_for_timeout(200)
    near = seen(opened)
    assert opened.get_attribute("#whole-size", "aria-pressed") == "false"
    expected = whole[row - 10 : row + 10, column - 10 : column + 10].repeat(4, 0).repeat(4, 1)
    part = near[row - 40 : row + 40, column - 40 : column + 40]
    assert np.abs(part - expected).mean() < 2
    opened.locator("#canvas").focus()
    opened.keyboard.press("1")
    playwright.expect(opened.get_by_role("button", name="1:1")).to_have_attribute("aria-pressed", "true")
    opened.keyboard.press("0")
    playwright.expect(opened.get_by_role("button", name="Fit")).to_have_attribute("aria-pressed", "true")


def test_the_blur_is_found_and_told_in_words(opened):
    opened.get_by_role("button", name="Find the blur").click()
    opened.wait_for_selector("#estimated", state="visible")
    assert opened.text_content("#psf-words") == "the camera moved straight"
    assert opened.text_content("#confidence-words") == "0.90"
    assert opened.evaluate("document.getElementById('psf-image').naturalWidth") == 3
    opened.select_option("#model", "focus")
    opened.get_by_role("button", name="Find the blur").click()
    playwright.expect(opened.locator("#psf-words")).to_have_text("the lens was out of focus")


def test_the_slider_goes_from_before_to_after(opened):
    opened.wait_for_timeout(200)
    before = seen(opened)
    restored_here(opened, "#preview")
    opened.wait_for_timeout(300)
    slider = opened.locator("#split")
    slider.fill("0")
    after = seen(opened)
    slider.fill("50")
    half = seen(opened)
    middle = half.shape[1] // 2
    line = 40  # the line and its handle
    assert np.abs(after - before).max() > 50
    np.testing.assert_array_equal(half[:, : middle - line], before[:, : middle - line])
    np.testing.assert_array_equal(half[:, middle + line :], after[:, middle + line :])
    opened.locator("#canvas").press("ArrowRight")
    assert slider.input_value() == "51"
    box = opened.locator("#canvas").bounding_box()
    y = box["y"] + box["height"] / 4
    opened.mouse.move(box["x"] + 0.51 * box["width"], y)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 0.75 * box["width"], y)
    opened.mouse.up()
    assert float(slider.input_value()) == pytest.approx(75, abs=0.5)


def drag(page, tool: str, *, across: int, down: int) -> None:
    page.get_by_role("button", name=tool, exact=True).click()
    box = page.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + across / 2, y + down / 2)
    page.mouse.move(x + across, y + down)
    page.mouse.up()
    page.get_by_role("button", name="Move", exact=True).click()


def test_motion_is_drawn_on_the_picture(opened):
    drag(opened, "Draw motion", across=30, down=-40)
    assert opened.input_value("#psf") == "motion"
    assert float(opened.input_value("#length")) == pytest.approx(50, abs=1)
    assert float(opened.input_value("#angle")) == pytest.approx(53, abs=1)


def test_a_region_is_previewed(opened):
    drag(opened, "Region", across=40, down=30)
    with opened.expect_request("**/tasks/preview") as asked:
        restored_here(opened, "#preview")
    assert asked.value.post_data_json["region"][2:] == [40, 30]


def test_saved_at_full_depth(opened, tmp_path):
    restored_here(opened, "#restore")
    with opened.expect_download() as download:
        opened.get_by_role("button", name="Save", exact=True).click()
    assert download.value.suggested_filename == "photograph-sharp.png"
    download.value.save_as(tmp_path / "saved.png")
    saved = read_image(tmp_path / "saved.png")
    assert saved.dtype == np.uint16
    assert len(np.unique(saved)) > 256
    assert "--psf motion:13,30" in opened.text_content("#command code")


def test_all_pictures_are_restored(opened, photograph):
    restored_here(opened, "#preview")
    opened.set_input_files("#files", photograph)
    opened.wait_for_selector("#pictures li:nth-child(2)[data-state=done]")
    opened.locator("#pictures .name").nth(1).click()
    opened.select_option("#psf", "disk")  # each has settings of its own
    opened.select_option("#method", "wiener")
    opened.get_by_role("button", name="Restore all pictures").click()
    opened.get_by_text("; restored").nth(1).wait_for()
    opened.locator("#pictures .name").nth(0).click()
    assert opened.input_value("#psf") == "motion"
    assert "motion:13,30" in opened.text_content("#done")


def test_files_are_refused_with_a_reason(opened, tmp_path):
    (tmp_path / "notes.jpg").write_text("no photograph")
    (tmp_path / "large.png").write_bytes(bytes(10**6 + 1))
    opened.set_input_files("#files", [tmp_path / "notes.jpg", tmp_path / "large.png"])
    failed = opened.locator("#pictures li[data-state=failed] .what")
    assert failed.text_content().startswith("it is not an image")  # which file stands above
    opened.wait_for_selector("#refused", state="visible")
    assert "large.png: more than the 1000000 bytes" in opened.text_content("#refused")


def test_the_window_of_a_phone(browser, address, tmp_path):
    page = browser.new_page(viewport={"width": 390, "height": 780}, color_scheme="dark", device_scale_factor=2)
    page.goto(address)
    page.wait_for_selector("#pictures li")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 25, 28)"
    page.close()


def test_work_is_cancelled(opened):
    opened.select_option("#psf", "disk")
    opened.select_option("#method", "flow")
    opened.click("#restore")
    opened.wait_for_selector("#pictures li[data-state=running]")
    assert opened.text_content("#done")  # what is done, where the button is
    opened.get_by_role("button", name="Cancel").click()
    opened.wait_for_selector("#pictures li[data-state=cancelled]")
    assert opened.is_disabled("#save")

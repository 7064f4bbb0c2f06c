"""The logic of the page: settings that are checked, jobs in order, cancelled at once, and files that are removed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import page_tasks
import pytest
from typer.main import get_command

from deconv.cli.app import app
from deconv.page.jobs import Job
from deconv.page.session import Session
from deconv.page.settings import Settings
from deconv.progress import ProgressBar, heard_by


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session(page_tasks.TASKS, page_tasks.EXAMPLES, max_bytes=1000)
    yield session
    session.close()
    assert not session.folder.exists()


def add(session: Session, name: str, content: bytes = b"text") -> str:
    """Its id, once it is there."""
    with session.adding(name) as write:
        write(content)
    return session.state()["pictures"][-1]["id"]


def wait(session: Session, id: str, *states: str) -> dict:
    """What the page shows of a picture when its job is in one of these states."""
    news = threading.Event()
    session.listeners.add(news.set)
    limit = time.monotonic() + 20
    try:
        while time.monotonic() < limit:
            news.clear()
            shown = session.picture(id).words()
            if shown["job"]["state"] in states:
                return shown
            news.wait(1)
    finally:
        session.listeners.discard(news.set)
    raise TimeoutError(shown)


def test_a_picture_is_opened_and_its_tasks_are_done(session):
    id = add(session, "a.txt")
    assert wait(session, id, "done")["results"]["open"]["bytes"] == 4
    session.ask(id, "upper", Settings(method="wiener"))
    results = wait(session, id, "done")["results"]
    assert list(results) == ["open", "upper"]
    assert results["upper"]["method"] == "wiener"
    assert session.file(id, "saved", "a.txt").read_text() == "TEXT"


def test_a_refused_picture_says_why_without_our_folders(session):
    id = add(session, "bad.jpg", b"\xff\xfe")
    shown = wait(session, id, "failed")
    assert shown["job"]["message"] == "bad.jpg: it is not an image"
    assert not shown["results"]


def test_an_example(session):
    session.add_example("text")
    id = session.state()["pictures"][-1]["id"]
    assert wait(session, id, "done")["results"]["open"]["bytes"] == 7
    with pytest.raises(ValueError, match="example: unknown 'other', allowed are text"):
        session.add_example("other")


def test_progress_and_cancel_in_the_midst_of_work(session):
    first, second = add(session, "a.txt"), add(session, "b.txt")
    wait(session, second, "done")
    session.ask(first, "slow", Settings())
    session.ask(second, "upper", Settings())
    told: Callable[[], dict] = lambda: session.picture(first).words()["job"]  # noqa: E731
    limit = time.monotonic() + 20
    while told()["share"] == 0 and time.monotonic() < limit:
        time.sleep(0.01)
    assert (told()["title"], told()["share"]) == ("sleeping", 0.5)
    assert told()["left"] is not None
    assert session.picture(second).words()["job"]["state"] == "waiting"
    started = time.monotonic()
    session.cancel(first)
    assert wait(session, first, "cancelled")
    assert wait(session, second, "done")["results"]["upper"], "the next one follows"
    assert time.monotonic() - started < 5


def test_what_waits_is_cancelled_and_what_has_ended_stays(session):
    first, second = add(session, "a.txt"), add(session, "b.txt")
    wait(session, second, "done")
    session.ask(first, "slow", Settings())
    session.ask(second, "slow", Settings())
    session.cancel(second)
    assert wait(session, second, "cancelled")
    session.cancel(first)
    session.cancel(first)
    session.ask(first, "upper", Settings())
    session.cancel(wait(session, first, "done")["id"])
    assert session.picture(first).words()["job"]["state"] == "done"


def test_asking_again_takes_the_place_of_what_was_asked(session):
    id = add(session, "a.txt")
    wait(session, id, "done")
    session.ask(id, "slow", Settings())
    wait(session, id, "running")
    session.ask(id, "upper", Settings())
    assert wait(session, id, "done")["results"]["upper"]


@pytest.mark.parametrize(("task", "said"), [("killed", "too little memory"), ("faulty", "KeyError")])
def test_a_failure_is_told_and_the_next_task_is_done(session, task, said):
    id = add(session, "a.txt")
    wait(session, id, "done")
    session.ask(id, task, Settings())
    assert said in wait(session, id, "failed")["job"]["message"]
    session.ask(id, "upper", Settings())
    assert wait(session, id, "done")


def test_too_large_a_file_is_refused_and_removed(session):
    before = len(list(session.folder.iterdir()))
    with pytest.raises(ValueError, match="more than the 1000 bytes"):
        add(session, "large.txt", b"x" * 1001)
    assert len(list(session.folder.iterdir())) == before


def test_a_removed_picture_is_gone_with_its_files(session):
    id = add(session, "a.txt")
    wait(session, id, "done")
    folder = session.picture(id).folder
    session.remove(id)
    assert not folder.exists()
    with pytest.raises(KeyError):
        session.picture(id)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("holiday.jpg", "holiday.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\a.png", "a.png"),
        ("", "picture"),
        ("..", "picture"),
        ("a\n<b>.png", "a b .png"),
        ("x" * 300 + ".tif", "x" * 120 + ".tif"),
    ],
)
def test_names_of_files_stay_in_their_folder(session, given, name):
    id = add(session, given)
    picture = session.picture(id)
    assert picture.name == name
    assert picture.source.parent == picture.folder / "source"


def test_only_what_was_made_is_given_out(session):
    id = add(session, "a.txt")
    wait(session, id, "done")
    for part, name in (("made", "../source/a.txt"), ("made", "none.png"), ("saved", "..")):
        with pytest.raises(FileNotFoundError):
            session.file(id, part, name)
    with pytest.raises(ValueError, match="part"):
        session.file(id, "source", "a.txt")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "settings: expected an object"),
        ({"folder": "/"}, "settings: unknown 'folder'"),
        ({"psf": 3}, "psf: expected a text"),
        ({"model": "line"}, "model: unknown 'line', allowed are auto, shake, motion, focus"),
        ({"strength": 0}, "strength: expected a number of at least 0.01"),
        ({"strength": float("nan")}, "strength"),
        ({"noise": "1%"}, "noise: expected a number"),
        ({"linear": 1}, "linear: expected true, false or null"),
        ({"region": [0, 0, 10]}, "region: expected x, y, width and height"),
        ({"region": [0, 0, 10, 0]}, "region"),
        ({"region": [0, 0, 10, 1.5]}, "region"),
    ],
)
def test_settings_are_checked(given, said):
    with pytest.raises(ValueError, match=said):
        Settings.of(given)


def test_settings_are_options_of_the_command():
    given = {
        "psf": "motion:9,30",
        "method": "wiener",
        "strength": 2,
        "noise": 0.01,
        "linear": False,
        "region": [1, 2, 3, 4],
    }
    settings = Settings.of(given)
    assert settings.region == (1, 2, 3, 4)
    assert Settings().arguments() == []
    assert Settings(model="focus").arguments() == ["--model", "focus"]
    assert Settings(model="focus", psf="disk:3").arguments() == ["--psf", "disk:3"]
    command = get_command(app).commands["deblur"]
    context = command.make_context("deblur", ["a.jpg", "-o", "b.jpg", *settings.arguments()])
    options = {"psf": ["motion:9,30"], "method": "wiener", "strength": 2.0, "sigma": "1%", "linear": False}
    assert {name: context.params[name] for name in options} == options


def test_of_progress_bars_within_bars_the_outer_one_is_heard():
    heard = []
    with heard_by(lambda title, share: heard.append((title, share))):
        with ProgressBar("outer", 2, shown=False) as outer:
            with ProgressBar("inner", 1, shown=False) as inner:
                inner.advance()
            outer.advance()
        with ProgressBar("next", 1, shown=False):
            pass
    assert heard == [("outer", 0.0), ("outer", 0.5), ("next", 0.0)]


def test_the_time_left_follows_from_the_time_taken():
    job = Job("restore", state="running")
    assert job.seconds_left is None
    job.tell("restoring", 0.0)
    job._since -= 10
    job.tell("restoring", 0.25)
    assert job.seconds_left == pytest.approx(30, abs=0.5)
    job.tell("writing", 0.0)
    assert job.seconds_left is None

"""The page over HTTP: who has the key gets in, nobody else; and everything that it loads comes from here."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import page_tasks
import pytest

from deconv.cli import main
from deconv.page.session import Session

pytest.importorskip("starlette", reason="the extra app is not installed")
pytest.importorskip("uvicorn", reason="the extra app is not installed")
from deconv.page import server

STATIC = Path(server.__file__).parent / "static"


class Page:
    """A page that is served, and what a browser would ask of it."""

    def __init__(self, session: Session) -> None:
        socket = server.listen()
        self.port = socket.getsockname()[1]
        self.session = session
        self.server = server.Server(session, {"methods": {}}, port=self.port, key="secret")
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [socket]}, daemon=True)
        self.thread.start()
        self.cookie = {"Cookie": f"deconv-{self.port}=secret"}

    @contextmanager
    def answer(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Iterator[HTTPResponse]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        with closing(connection):
            connection.request(method, path, body or None, self.cookie | headers)
            with connection.getresponse() as answer:
                yield answer

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        with self.answer(path, method, body, **headers) as answer:
            return answer.status, answer.read().decode()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    session = Session(page_tasks.TASKS, page_tasks.EXAMPLES, max_bytes=1000)
    page = Page(session)
    yield page
    page.server.should_exit = True
    page.thread.join()
    session.close()


def test_the_key_opens_the_page(page):
    with page.answer("/?key=secret", Cookie="") as answer:
        assert answer.status == 303
        cookie = answer.getheader("Set-Cookie")
    assert cookie.startswith(f"deconv-{page.port}=secret;")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert page.ask("GET", "/")[0] == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {"Cookie": ""}),
        ("/?key=wrong", {"Cookie": ""}),
        ("/static/page.js", {"Cookie": ""}),
        ("/", {"Host": "example.org"}),
        ("/", {"Origin": "http://example.org"}),
        ("/", {"Origin": "null"}),
    ],
)
def test_nobody_else_gets_in(page, path, headers):
    assert page.ask("GET", path, **headers)[0] == 403


def test_pictures_come_and_go(page):
    assert page.ask("POST", "/pictures?name=a.txt", b"text") == (204, "")
    id = page.session.state()["pictures"][-1]["id"]
    limit = time.monotonic() + 20
    while not page.session.picture(id).results and time.monotonic() < limit:
        time.sleep(0.01)
    assert page.ask("GET", f"/pictures/{id}/made/before.png") == (200, "text")
    assert page.ask("POST", f"/pictures/{id}/tasks/upper", b'{"method": "wiener"}')[0] == 204
    assert page.ask("POST", f"/pictures/{id}/psf?name=psf.npy", b"numbers")[0] == 204
    assert page.ask("DELETE", f"/pictures/{id}/job")[0] == 204
    assert page.ask("DELETE", f"/pictures/{id}")[0] == 204
    assert page.ask("DELETE", f"/pictures/{id}")[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/pictures?name=a.txt", b"x" * 2000, 400, "a.txt: more than the 1000 bytes"),
        ("POST", "/examples/none", b"", 400, "example: unknown 'none'"),
        ("POST", "/pictures/none/tasks/upper", b"{}", 404, "no such thing"),
        ("POST", "/pictures/none/tasks/upper", b'{"psf": 1}', 400, "psf: expected a text"),
        ("POST", "/pictures/none/tasks/upper", b"no JSON", 400, "Expecting value"),
        ("POST", "/pictures/none/tasks/open", b"{}", 400, "done by itself"),
        ("POST", "/pictures/none/tasks/none", b"{}", 400, "task: unknown 'none'"),
        ("GET", "/pictures/none/made/before.png", b"", 404, "no such thing"),
    ],
)
def test_refusals_say_why(page, method, path, body, status, said):
    got, text = page.ask(method, path, body)
    assert got == status
    assert said in text


def test_the_state_is_streamed(page):
    with page.answer("/events") as answer:
        first = json.loads(answer.readline().removeprefix(b"data: "))
        answer.readline()
        page.session.add_example("text")
        following = json.loads(answer.readline().removeprefix(b"data: "))
    assert following["version"] > first["version"]
    assert len(following["pictures"]) == len(first["pictures"]) + 1


def test_nothing_is_loaded_from_elsewhere(page):
    """No address of another host in what is served; and the browser is told to load none."""
    for path in STATIC.iterdir():
        assert not re.search(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[\w-]+\.\w", path.read_text()), path.name
    with page.answer("/") as answer:
        policy = answer.getheader("Content-Security-Policy")
    assert policy.startswith("default-src 'self';")


def test_the_command_ends_with_ctrl_c_and_leaves_nothing(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "deconv", "app", "--no-browser"]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with running:
        assert re.match(r"http://127\.0\.0\.1:\d+/\?key=\S{20,}", running.stdout.readline())
        assert list(tmp_path.glob("deconv-app-*"))
        running.send_signal(signal.SIGINT)
        assert running.stdout.read() == "Ctrl-C ends it.\n"
    assert running.returncode == 0
    assert not list(tmp_path.iterdir())


def test_ctrl_c_at_the_first_moment_ends_it_like_any_other(tmp_path):
    """The address is told only when nothing can break any more, neither the interruption nor the page."""
    session = Session(page_tasks.TASKS, page_tasks.EXAMPLES, max_bytes=1000)
    told = []

    def ready(address: str) -> None:
        url = urlsplit(address)
        with closing(HTTPConnection(url.netloc, timeout=10)) as connection:
            connection.request("GET", f"/?{url.query}")
            told.append(connection.getresponse().status)
        signal.raise_signal(signal.SIGINT)

    with closing(server.listen()) as socket, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(KeyboardInterrupt):
            server.serve(session, {"methods": {}}, socket, ready)
    session.close()
    assert told == [303]


def test_a_port_that_is_taken(page, capsys):
    assert main(["app", "--no-browser", "--port", str(page.port)]) == 2
    assert f"--port: {page.port} cannot be had" in capsys.readouterr().err

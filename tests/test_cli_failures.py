"""What ends a command before its time: one line and a status, whatever a library makes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest
import torch

from deconv.cli import info, main
from deconv.devices import usable_device
from deconv.imaging.quiet import quiet_decoders


@pytest.fixture
def failing(monkeypatch, capsys):
    """Run a command that does what it is given; its status and what it says."""

    def run(work) -> tuple[int, str]:
        monkeypatch.setattr(info, "_devices", work)  # somewhere inside a command
        status = main(["info"])
        return status, capsys.readouterr().err

    return run


def raising(error):
    def work():
        raise error

    return work


CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 7.00 GiB is "
    "free. See documentation for Memory Management"
)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "out of memory"),
        (MemoryError("Unable to allocate 7.45 GiB for an array"), "out of memory: 7.45 GiB could not be allocated"),
        (getattr(torch, "OutOfMemoryError", RuntimeError)(CUDA), "out of memory: 20.00 GiB could not be allocated"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), "out of memory"),
        (ImportError("DLL load failed\nwhile importing _imaging"), "DLL load failed while importing _imaging"),
        (EOFError("Ran out of input"), "a file ends too early: Ran out of input"),
        (OSError(28, "No space left on device", "out.png"), "out.png: No space left on device"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_foreseen_failures_are_one_line(error, line, failing):
    assert failing(raising(error)) == (2, f"deconv: {line}\n")


def test_no_memory_on_a_cpu_is_one_line(failing):
    status, said = failing(lambda: torch.empty(1 << 60, dtype=torch.uint8))
    assert status == 2
    assert said == f"deconv: out of memory: {1 << 60} bytes could not be allocated\n"


def test_other_failures_are_raised(failing):
    """A fault of ours shows where it is."""
    with pytest.raises(RuntimeError, match="a fault"):
        failing(raising(RuntimeError("a fault")))


def test_an_interrupt_that_a_library_turns_into_another_error(failing):
    def work():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("cannot load module more than once per process") from None

    assert failing(work) == (130, "deconv: interrupted\n")


def test_an_interrupt_in_a_callback_that_nobody_can_catch(failing):
    class Thing:
        pass

    def work():
        thing = Thing()
        watch = weakref.ref(thing, lambda reference: signal.raise_signal(signal.SIGINT))
        del thing
        time.sleep(10)
        return [str(watch())]

    assert failing(work) == (130, "deconv: interrupted\n")


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], sys.unraisablehook
    assert main(["--version"]) == 0
    assert ([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], sys.unraisablehook) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
def test_a_terminated_command_runs_its_clean_up():
    code = (  # a command that imports little
        "import sys, time, types\n"
        "from deconv.cli import main\n"
        "def work(folder):\n"
        "    try:\n"
        "        print('working', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        print('cleaned', flush=True)\n"
        "demo = sys.modules['deconv.cli.demo'] = types.ModuleType('deconv.cli.demo')\n"
        "demo.run = work\n"
        "sys.exit(main(['demo']))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"working\n"
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (143, b"cleaned\n", b"")


def test_devices_by_name():
    assert usable_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("meta", "abacus", "cuda:99"):
        with pytest.raises(ValueError, match=f"--device: '{name}' cannot be used here"):
            usable_device(name, name="--device")


def test_decoders_are_quiet_and_standard_error_comes_back(capfd):
    """Also with threads that decode at the same time, of which the last one to leave is not the last one to come."""
    entered, leave = threading.Event(), threading.Event()

    def first():
        with quiet_decoders():
            entered.set()
            leave.wait(10)
            os.write(2, b"first\n")

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(10)
    with quiet_decoders():
        os.write(2, b"second\n")
    os.write(2, b"still one inside\n")
    leave.set()
    thread.join()
    os.write(2, b"nobody inside\n")
    assert capfd.readouterr().err == "nobody inside\n"

"""The folder of a run: one run at a time, nothing half-written left, and a curve whose rows do not change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

import deconv.training.run
import deconv.training.trainer
from deconv.imaging.tensors import read_tensors, write_tensors
from deconv.training import Objective, RunConfig, Settings, fit, load_model, split_dataset, train
from deconv.training.checkpoint import CHECKPOINT, MODEL
from deconv.training.lock import folder_lock
from deconv.training.log import read_log

CONFIG = RunConfig(
    model={"name": "glow", "levels": 1, "steps": 1, "width": 4},
    options={"size": 8},
    settings=Settings(steps=12, batch_size=8, warmup=3, validate_every=5, validation_images=20),
)
OPTIONS = ["--size", "8", "--levels", "1", "--depth", "1", "--width", "4", "--batch-size", "8", "--model", "glow"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def start(code: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# In a bare package: what the others of its modules import takes seconds.
HOLD = f"""
import sys, time, types
from pathlib import Path
package = sys.modules["deconv.training"] = types.ModuleType("deconv.training")
package.__path__ = {list(deconv.training.__path__)}
from deconv.training.lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    if sys.argv[2] == "fork":
        import os
        begun, begin = os.pipe()
        if not os.fork():
            os.write(begin, b"!")
            time.sleep(10)
            os._exit(0)
        os.read(begun, 1)
    print("locked", flush=True)
    time.sleep(30)
"""


@pytest.mark.parametrize("kind", ["alone", "fork"])
def test_the_lock_of_a_killed_process_is_free(tmp_path, kind):
    """At once, also where a child that it has forked lives on, as a process that reads images ahead does."""
    with start(HOLD, tmp_path, kind) as child:
        assert child.stdout.readline() == "locked\n"
        with pytest.raises(FileExistsError, match="another training run is writing to it"), folder_lock(tmp_path):
            pass
        child.send_signal(signal.SIGKILL)
        child.wait()
        with folder_lock(tmp_path):
            pass


def test_two_runs_do_not_share_a_folder(tmp_path):
    """The second one is refused, and the first one's files are those that it writes alone."""
    train(CONFIG, tmp_path / "alone", progress=False)
    outcomes = []

    def run():
        try:
            train(CONFIG, tmp_path / "shared", overwrite=True, progress=False)
            outcomes.append("done")
        except FileExistsError as error:
            outcomes.append(str(error))

    (tmp_path / "shared").mkdir()
    with folder_lock(tmp_path / "shared"):
        run()
    assert outcomes == [f"{tmp_path / 'shared'}: another training run is writing to it"]
    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "done" in outcomes
    steps = [[row["step"] for row in read_log(tmp_path / name / "log.csv")] for name in ("alone", "shared")]
    assert steps[0] == steps[1]


def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    train(CONFIG, tmp_path, progress=False)
    for name in (".checkpoint.safetensors.1234.part", "samples/.0000005.png.1234.part"):
        (tmp_path / name).write_bytes(b"half")
    train(CONFIG, tmp_path, resume=True, progress=False)
    assert not list(tmp_path.rglob("*.part"))


def test_the_curve_is_the_same_text_after_a_resume(tmp_path):
    train(CONFIG, tmp_path, progress=False)
    before = (tmp_path / "log.csv").read_bytes()
    with open(tmp_path / "log.csv", "ab") as file:
        file.write(b"13,0.1,half a row")
    train(CONFIG, tmp_path, resume=True, changes={"settings": {"steps": 14}}, progress=False)
    after = (tmp_path / "log.csv").read_bytes()
    assert after.startswith(before)
    assert [row["step"] for row in read_log(tmp_path / "log.csv")][-1] == 14
    assert all(line.split(b",")[0].isdigit() for line in after.splitlines()[1:])


SLOW = """
import sys, time
import deconv.imaging.files as files
original = files.os.fsync
def slow(descriptor):
    print("writing", flush=True)
    time.sleep(20)
    original(descriptor)
files.os.fsync = slow
from deconv.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_sigterm_leaves_nothing_half_written(tmp_path):
    child = start(SLOW, "train", *OPTIONS, "--steps", 5, "-q", "-o", tmp_path / "run")
    assert child.stdout.readline() == "writing\n"
    parts = list((tmp_path / "run").rglob(".*.part"))
    child.terminate()
    _, said = child.communicate(timeout=15)
    assert len(parts) == 1
    assert child.returncode == 128 + signal.SIGTERM, said
    assert not said
    assert not list((tmp_path / "run").rglob(".*.part"))


FULL = """
import resource, sys
import torch
from deconv.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)  # as good as a disk that is full
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(("size", "name"), [(10, "config.json"), (8000, CHECKPOINT)])
def test_a_full_disk_names_the_file(tmp_path, size, name):
    pytest.importorskip("resource")
    folder = tmp_path / "run"
    options = [*OPTIONS, "--steps", 5, "-q", "-o", folder]
    child = start(FULL, size, "train", *options)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 2
    assert said == f"deconv: {folder / name}: File too large\n"
    assert not list(folder.rglob(".*.part"))


def test_a_full_disk_names_the_curve(tmp_path, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    from deconv.training.log import COLUMNS, Log

    log = Log(tmp_path)
    (tmp_path / "log.csv").unlink()
    (tmp_path / "log.csv").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '.*log\.csv'"):
        log.write(dict.fromkeys(COLUMNS, 1.0))


def test_checkpoints_of_earlier_versions_are_read(tmp_path):
    """Their records were called otherwise; what they say of the preprocessing holds, whatever the default is."""
    for name in ("centre", "logit"):
        config = CONFIG.changed(model={"preprocessing": name})
        train(config, tmp_path / name, progress=False)
        for file in (CHECKPOINT, MODEL):
            tensors, record = read_tensors(tmp_path / name / file)
            record["plan"], record["config"] = record.pop("run"), record.pop("model")
            write_tensors(tmp_path / name / file, tensors, record)
        trained = load_model(tmp_path / name)
        assert trained.config == config
        assert trained.model.config["preprocessing"] == name
        longer = train(CONFIG, tmp_path / name, resume=True, changes={"settings": {"steps": 14}}, progress=False)
        assert longer.steps == 14


def test_a_run_on_images_of_ones_own(tmp_path):
    """It goes on when they are given again, and says so where they are not."""
    images = torch.randint(0, 256, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    train(CONFIG, tmp_path, data=images, progress=False)
    longer = {"settings": {"steps": 14}}
    with pytest.raises(ValueError, match="data: the images of this run were given to it in Python"):
        train(CONFIG, tmp_path, resume=True, changes=longer, progress=False)
    assert train(CONFIG, tmp_path, data=images, resume=True, changes=longer, progress=False).steps == 14
    assert load_model(tmp_path).config.data == "own"


@pytest.mark.parametrize("name", ["levels", "steps", "width", "kernel_size", "num_classes"])
@pytest.mark.parametrize("value", [10**9, 0, -1, 2.5, "many", None])
def test_numbers_of_a_checkpoint_are_bounded(tiny, tmp_path, name, value):
    if name == "num_classes" and value in (0, None):
        return  # none, as it is
    tensors, record = read_tensors(tiny / MODEL)
    record["model"][name] = value
    write_tensors(tmp_path / "x.safetensors", tensors, record)
    begun = time.monotonic()
    with pytest.raises(ValueError, match=r"x\.safetensors: not a model that this version can build") as raised:
        load_model(tmp_path / "x.safetensors")
    assert time.monotonic() - begun < 2
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("shape", [[1, 10**9, 8], [10**9, 8, 8], [1, 8], [1, 8, 0], [1, 8, "8"], "8", None, 8])
def test_shapes_of_a_checkpoint_are_bounded(tiny, tmp_path, shape):
    tensors, record = read_tensors(tiny / MODEL)
    record["model"]["image_shape"] = shape
    write_tensors(tmp_path / "x.safetensors", tensors, record)
    with pytest.raises(ValueError, match=r"x\.safetensors: not a model that this version can build"):
        load_model(tmp_path / "x.safetensors")


def test_a_checkpoint_holds_finite_numbers(tiny, tmp_path):
    tensors, record = read_tensors(tiny / MODEL)
    name = next(name for name, value in tensors.items() if value.numel() > 1)
    tensors[name].view(-1)[1] = torch.nan
    write_tensors(tmp_path / "x.safetensors", tensors, record)
    with pytest.raises(ValueError, match="holds values that are not finite"):
        load_model(tmp_path / "x.safetensors")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    train(CONFIG, folder, progress=False)
    return folder


def test_a_resumed_run_goes_on_with_the_model_that_it_was_begun_with(tmp_path):
    """What its configuration leaves to the defaults is what they were, not what they are."""
    train(CONFIG.changed(model={"preprocessing": "centre"}), tmp_path, progress=False)
    tensors, record = read_tensors(tmp_path / CHECKPOINT)
    del record["run"]["model"]["preprocessing"]
    write_tensors(tmp_path / CHECKPOINT, tensors, record)
    resumed = train(CONFIG, tmp_path, resume=True, changes={"settings": {"steps": 14}}, progress=False)
    assert resumed.model.config["preprocessing"] == load_model(tmp_path).model.config["preprocessing"] == "centre"


@pytest.mark.parametrize("emulated", [False, True])
def test_a_processor_that_emulates_bfloat16_is_told_of(tmp_path, monkeypatch, capsys, emulated):
    monkeypatch.setattr(deconv.training.run, "emulates_bfloat16", lambda device: emulated)
    train(CONFIG.changed(settings={"steps": 1, "precision": "bfloat16"}), tmp_path, progress=True)
    assert ("--precision float32 is faster" in capsys.readouterr().err) == emulated


@pytest.mark.parametrize("emulated", [False, True])
def test_auto_is_the_precision_that_is_fast(monkeypatch, emulated):
    """A processor that emulates bfloat16 takes ten times as long in it."""
    monkeypatch.setattr(deconv.training.trainer, "emulates_bfloat16", lambda device: emulated)
    layer, seen = torch.nn.Conv2d(1, 1, 3), []

    def loss(model, batch, generator):
        seen.append(model(batch.images.float()).dtype)
        return model(batch.images.float()).float().mean((1, 2, 3))

    images = split_dataset(torch.zeros(8, 1, 4, 4, dtype=torch.uint8))
    fit(layer, images, Objective("mean", loss), Settings(steps=1, batch_size=2, precision="auto"), progress=False)
    assert seen[0] == (torch.float32 if emulated else torch.bfloat16)

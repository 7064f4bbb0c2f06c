"""Checkpoints: what was written comes back, all damage is noticed, and a reader and a writer get on together."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import save_file

from deconv.imaging.tensors import read_tensors, write_tensors

TENSORS = {
    "a": torch.randn(3, 4, dtype=torch.float64),
    "b": torch.randn(2, 3, 5).transpose(0, 2),
    "c": torch.tensor(True),
    "d": torch.tensor([1, 2], dtype=torch.int64),
    "e": torch.randn(4).bfloat16(),
    "f": torch.empty(0),
}


def test_checkpoints_come_back(tmp_path):
    path = tmp_path / "x.safetensors"
    write_tensors(path, TENSORS, {"step": 3, "text": "ä", "none": None})
    tensors, record = read_tensors(path)
    assert record == {"step": 3, "text": "ä", "none": None}
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value)
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_every_damage_is_noticed(tmp_path):
    """Each byte of the file matters: one that is changed, or a file cut short anywhere, is refused with its name."""
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": torch.randn(8)}, {"step": 3})
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if whole[place : place + 1] != b" ":  # the head is padded with spaces
            with pytest.raises(ValueError, match=r"x\.safetensors"):
                read_tensors(path)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"x\.safetensors: damaged"):
            read_tensors(path)


def test_a_reader_beside_a_writer_finds_one_whole_file(tmp_path):
    path = tmp_path / "x.safetensors"
    done = threading.Event()

    def write():
        for step in itertools.count():
            write_tensors(path, {"a": torch.full((10 + step % 2,), float(step))}, {"step": step})
            if done.is_set():
                return

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write)
        try:
            while not path.exists():
                time.sleep(0.001)
            for _ in range(200):
                tensors, record = read_tensors(path)
                assert set(tensors["a"].tolist()) == {record["step"]}
        finally:
            done.set()
        writing.result()


def test_strangers_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    torch.save({"a": torch.zeros(2)}, path)  # a pickle
    with pytest.raises(ValueError, match="damaged, or not a safetensors file"):
        read_tensors(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="none of this toolkit"):
        read_tensors(path)
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "missing")

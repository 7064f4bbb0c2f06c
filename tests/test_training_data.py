"""Data sets: the standard layouts are read as they are documented, and what is missing or damaged is said."""

from __future__ import annotations

import gzip
import pickle
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from deconv.imaging import write_image
from deconv.training import StoredImages, load_data
from deconv.training.data import DATASETS, archives

RNG = np.random.default_rng(0)
DIGITS = RNG.integers(0, 256, (60, 28, 28), np.uint8)
DIGIT_LABELS = RNG.integers(0, 10, 60).astype(np.uint8)
TEST_DIGITS, TEST_DIGIT_LABELS = DIGITS[:7], DIGIT_LABELS[:7]


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, compress=False):
    folder.mkdir(parents=True, exist_ok=True)
    for part, images, labels in (("train", DIGITS, DIGIT_LABELS), ("t10k", TEST_DIGITS, TEST_DIGIT_LABELS)):
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return folder


def write_npz(path, names=("train_images", "train_labels", "test_images", "test_labels")):
    np.savez(path, **dict(zip(names, (DIGITS, DIGIT_LABELS, TEST_DIGITS, TEST_DIGIT_LABELS), strict=True)))
    return path


MNIST_LAYOUTS = {
    "idx": lambda folder: write_idx(folder),
    "idx.gz": lambda folder: write_idx(folder, compress=True),
    "torchvision": lambda folder: write_idx(folder / "MNIST" / "raw").parent.parent,
    "npz": lambda folder: write_npz(folder / "digits.npz"),
    "npz in a folder": lambda folder: write_npz(folder / "mnist.npz").parent,
    "keras": lambda folder: write_npz(folder / "mnist.npz", ("x_train", "y_train", "x_test", "y_test")),
}


@pytest.mark.parametrize("layout", MNIST_LAYOUTS)
def test_mnist(tmp_path, layout):
    splits = load_data("mnist", MNIST_LAYOUTS[layout](tmp_path))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [50, 10, 7]
    assert (splits.shape, splits.num_classes) == ((1, 28, 28), 10)
    batch = splits.validation.__getitems__([9, 0])
    np.testing.assert_array_equal(batch.images[:, 0], DIGITS[[59, 50]])
    np.testing.assert_array_equal(batch.labels, DIGIT_LABELS[[59, 50]])
    np.testing.assert_array_equal(splits.test.images[:, 0], TEST_DIGITS)


def python_2_batch(images, labels) -> bytes:
    """A pickle as Python 2 and the NumPy of its time wrote it: protocol 2, byte strings, the old module's name."""
    text = pickle.dumps({b"data": images.reshape(len(images), -1), b"labels": list(map(int, labels))}, protocol=2)
    return text.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


@pytest.mark.parametrize("folder", [".", "cifar-10-batches-py"])
def test_cifar10(tmp_path, folder):
    images = RNG.integers(0, 256, (6, 4, 3, 32, 32), np.uint8)
    labels = RNG.integers(0, 10, (6, 4))
    (tmp_path / folder).mkdir(exist_ok=True)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for name, i, j in zip(names, images, labels, strict=True):
        (tmp_path / folder / name).write_bytes(python_2_batch(i, j))
    splits = load_data("cifar10", tmp_path)
    train = np.concatenate(images[:5])
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [18, 2, 4]
    np.testing.assert_array_equal(splits.train.images, train[:18])
    np.testing.assert_array_equal(splits.validation.images, train[18:])
    np.testing.assert_array_equal(splits.test.images, images[5])
    np.testing.assert_array_equal(splits.test.labels, labels[5])


@pytest.mark.parametrize("side", [32, 64])
def test_imagenet(tmp_path, side):
    images = RNG.integers(0, 256, (12, 3 * side * side), np.uint8)
    np.savez(tmp_path / "train_data_batch_2.npz", data=images[4:8], labels=np.arange(1, 5))
    np.savez(tmp_path / "train_data_batch_1.npz", data=images[:4], labels=np.arange(1, 5), mean=images[0])
    (tmp_path / "val").mkdir()
    np.savez(tmp_path / "val" / "val_data.npz", data=images[8:], labels=np.arange(1, 5))
    splits = load_data(f"imagenet{side}", tmp_path)
    assert (splits.shape, splits.num_classes) == ((3, side, side), 1000)
    assert len(splits.validation) == 1
    stored = torch.cat([splits.train.images, splits.validation.images]).reshape(-1, 3 * side * side)
    np.testing.assert_array_equal(stored, images[:8])
    np.testing.assert_array_equal(splits.train.labels, np.arange(4).repeat(2).reshape(4, 2).T.flatten()[:7])
    np.testing.assert_array_equal(splits.test.images.reshape(4, -1), images[8:])
    with pytest.raises(ValueError, match=rf"expected uint8 \(4, .*images of {96 - side} x {96 - side}"):
        load_data(f"imagenet{96 - side}", tmp_path)


def test_folder(tmp_path):
    """Squares about the centre; every image in exactly one part; parts as the folders say where they do."""
    for i in range(40):
        (tmp_path / f"class{i % 3}").mkdir(exist_ok=True)
        picture = np.zeros((20, 12, 3), np.uint8)
        picture[4:16] = (i, 100, 200)  # the square in the middle is of one colour
        Image.fromarray(picture).save(tmp_path / f"class{i % 3}" / f"{i}.png")
    splits = load_data("folder", tmp_path, size=8)
    parts = [splits.train, splits.validation, splits.test]
    assert [len(part) for part in parts] == [36, 2, 2]
    assert splits.shape == (3, 8, 8)
    seen = [int(part.__getitems__([i]).images[0, 0, 0, 0]) for part in parts for i in range(len(part))]
    assert sorted(seen) == list(range(40))
    image = splits.train.__getitems__([0]).images[0]
    assert torch.equal(image, image[:, :1, :1].expand(3, 8, 8))
    assert load_data("folder", tmp_path, size=8, grey=True).train.__getitems__([1, 2]).images.shape == (2, 1, 8, 8)
    (tmp_path / "class0").rename(tmp_path / "train")
    (tmp_path / "class1").rename(tmp_path / "val")
    (tmp_path / "class2").rename(tmp_path / "test")
    splits = load_data("folder", tmp_path, size=8)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [14, 13, 13]
    with pytest.raises(ValueError, match="20 x 12 is smaller than the 16 pixels"):
        load_data("folder", tmp_path, size=16).train.__getitems__([0])


def test_celeba(tmp_path):
    (tmp_path / "img_align_celeba").mkdir()
    for i in range(4):
        Image.fromarray(np.full((218, 178, 3), i, np.uint8)).save(tmp_path / "img_align_celeba" / f"{i}.png")
    (tmp_path / "list_eval_partition.txt").write_text("0.png 2\n1.png 0\n2.png 1\n3.png 0\n")
    splits = load_data("celeba", tmp_path, size=32)
    values = [
        part.__getitems__(range(len(part))).images[:, 0, 0, 0].tolist() for part in map(splits.__getitem__, PARTS)
    ]
    assert values == [[1, 3], [2], [0]]
    assert splits.shape == (3, 32, 32)
    (tmp_path / "list_eval_partition.txt").write_text("0.png 2\nnonsense\n")
    with pytest.raises(ValueError, match="line 2 is 'nonsense'"):
        load_data("celeba", tmp_path)


PARTS = ("train", "validation", "test")


@pytest.mark.parametrize("grey", [True, False])
def test_patches_share_no_pixel(monkeypatch, grey):
    """Every patch is cut from a picture; the parts come from different rows of it."""
    rows = torch.arange(300, dtype=torch.int32)[:, None].expand(300, 64)
    coded = torch.stack([rows % 256, rows // 256]).to(torch.uint8)
    monkeypatch.setattr("deconv.training.data.patches._picture", lambda name, grey: coded)
    splits = load_data("patches", size=8, grey=grey)
    used = []
    for part in PARTS:
        low, high = splits[part].images.long().unbind(1)
        used.append(set((low + 256 * high).flatten().tolist()))
    assert not used[0] & used[1]
    assert not used[0] & used[2]
    assert not used[1] & used[2]
    assert len(set.union(*used)) > 280
    monkeypatch.undo()
    splits = load_data("patches", size=16, grey=grey)
    assert splits.shape == (1 if grey else 3, 16, 16)
    assert len(splits.train) > 5000
    assert splits.train.images.float().std() > 30


@pytest.mark.parametrize("grey", [True, False])
def test_patches_from_a_folder(tmp_path, grey):
    """Each patch is a window of the photograph, in the part that its rows belong to."""
    photograph = RNG.integers(0, 256, (200, 50), np.uint8)
    Image.fromarray(photograph).save(tmp_path / "grey.png")
    splits = load_data("patches", tmp_path, size=10, grey=grey)
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (10, 10))
    for part, rows in (("train", (0, 150)), ("validation", (160, 170)), ("test", (180, 190))):
        expected = {windows[r, c].tobytes() for r in range(rows[0], rows[1] + 1, 5) for c in range(0, 41, 5)}
        images = splits[part].images
        assert images.shape[1] == (1 if grey else 3)
        assert {image.numpy().tobytes() for plane in images.unbind(1) for image in plane} == expected


def test_nothing_but_arrays_is_unpickled(tmp_path):
    class Attack:
        def __reduce__(self):
            return print, ("run",)

    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({b"data": Attack()}, protocol=2))
    with pytest.raises(ValueError, match=r"batch: damaged, or not a file of arrays \(it asks for .*print"):
        archives.read_pickled_arrays(path)


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def overwritten(path):
    path.write_bytes(b"nothing of the kind")


def removed(path):
    path.unlink()


@pytest.mark.parametrize(
    ("layout", "file", "damage", "error", "message"),
    [
        ("idx", "train-images-idx3-ubyte", cut, ValueError, "train-images-idx3-ubyte: damaged, 47000 bytes"),
        ("idx", "t10k-labels-idx1-ubyte", overwritten, ValueError, "t10k-labels-idx1-ubyte: not an idx file"),
        ("idx", "train-images-idx3-ubyte", removed, FileNotFoundError, "holds no MNIST"),
        ("idx", "t10k-labels-idx1-ubyte", removed, FileNotFoundError, "t10k-labels-idx1-ubyte"),
        ("idx.gz", "train-images-idx3-ubyte.gz", cut, ValueError, "train-images-idx3-ubyte.gz: damaged"),
        ("npz", "digits.npz", cut, ValueError, "digits.npz: not an npz file, or damaged"),
        ("npz", "digits.npz", overwritten, ValueError, "digits.npz: not an npz file, or damaged"),
        ("npz", "digits.npz", lambda path: np.savez(path, x=1), ValueError, "holds x; expected train_images"),
        (
            "npz",
            "digits.npz",
            lambda path: np.savez(path, x_train=DIGITS, y_train=DIGIT_LABELS[:5], x_test=DIGITS, y_test=DIGIT_LABELS),
            ValueError,
            r"\(60, 28, 28\) and \(5,\)",
        ),
    ],
)
def test_damage_is_named(tmp_path, layout, file, damage, error, message):
    root = MNIST_LAYOUTS[layout](tmp_path)
    damage(tmp_path / file)
    with pytest.raises(error, match=message):
        load_data("mnist", root)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense",), "data: unknown 'nonsense', allowed are patches, crops, mnist"),
        (("mnist",), "root: the data set mnist needs the file or folder"),
        (("mnist", "/does/not/exist"), "/does/not/exist: does not exist"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_data(*arguments)


@pytest.mark.parametrize("name", DATASETS)
def test_an_empty_folder_is_no_data_set(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="holds"):
        load_data(name, tmp_path)


def test_options_are_the_readers_own(tmp_path):
    with pytest.raises(ValueError, match="size: the data set mnist does not take it"):
        load_data("mnist", tmp_path, size=8)
    with pytest.raises(ValueError, match="size: expected 2 to 30 pixels a side, given 100"):
        load_data("patches", size=100)


def test_stored_images_are_checked():
    with pytest.raises(ValueError, match="expected uint8"):
        StoredImages(torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match="3 of them for 2 images"):
        StoredImages(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(3))


def test_crops_lie_anywhere_in_photographs(tmp_path):
    picture = np.arange(40 * 48, dtype=np.uint16).reshape(40, 48) % 251
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
        write_image(tmp_path / part / "a.png", picture.astype(np.uint8))
    splits = load_data("crops", tmp_path, size=16)
    # Every eighth row and column: 4 by 5 places.
    assert len(splits.train) == len(splits.validation) == 20
    crops = splits.train.__getitems__(range(20)).images
    assert crops.shape == (20, 1, 16, 16)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (16, 16))[::8, ::8].reshape(20, 16, 16)
    assert {crop.tobytes() for crop in crops.numpy()[:, 0]} == {w.astype(np.uint8).tobytes() for w in windows}
    with pytest.raises(FileNotFoundError, match="photographs of 64 or more pixels"):
        load_data("crops", tmp_path)

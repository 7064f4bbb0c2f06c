"""A data set of one's own: any `torch.utils.data.Dataset` is split, checked and read like the standard ones."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from deconv.training import load_data

PARTS = ("train", "validation", "test")


class Pairs:
    """Images and labels as a `torch.utils.data.Dataset` has them."""

    classes = ("odd", "even")

    def __init__(self, kind: str, count: int = 40):
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(0, 256, (count, 3, 4, 6), generator=generator, dtype=torch.uint8)
        self.kind = kind

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index]
        if self.kind == "floats":  # as torchvision's ToTensor gives them
            return image / 255, index % 2
        if self.kind == "pictures":
            return Image.fromarray(image.permute(1, 2, 0).numpy()), index % 2
        if self.kind == "arrays":
            return image.permute(1, 2, 0).numpy()
        return image if self.kind == "images" else (image, torch.tensor(index % 2))


@pytest.mark.parametrize("kind", ["images", "pairs", "floats", "pictures", "arrays"])
def test_a_data_set_of_ones_own(kind):
    dataset = Pairs(kind)
    splits = load_data(dataset)
    assert (splits.shape, splits.num_classes) == ((3, 4, 6), 2)
    assert load_data(splits) is splits
    batches = [splits[part].__getitems__(range(len(splits[part]))) for part in PARTS]
    assert [len(batch.images) for batch in batches] == [32, 4, 4]
    seen = {image.numpy().tobytes() for batch in batches for image in batch.images}
    assert seen == {image.numpy().tobytes() for image in dataset.images}
    if kind in ("images", "arrays"):
        assert batches[0].labels is None
    else:
        places = {image.numpy().tobytes(): i for i, image in enumerate(dataset.images)}
        expected = [places[image.numpy().tobytes()] % 2 for image in batches[0].images]
        assert batches[0].labels.tolist() == expected


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([torch.zeros(1, 4, 4, dtype=torch.uint8)] * 2, "data: expected at least 3 images, given 2"),
        ([torch.full((1, 4, 4), 2.0)] * 5, r"data: expected images of uint8, or of floats in \[0, 1\]"),
        ([torch.full((1, 4, 4), torch.nan)] * 5, r"data: expected images of uint8, or of floats in \[0, 1\]"),
        ([torch.zeros(1, 4, 4, dtype=torch.int32)] * 5, "given .* of torch.int32"),
        ([torch.zeros(1, n, 4) for n in range(1, 7)], "data: its images must be of one shape, found"),
    ],
)
def test_data_of_ones_own_is_checked(items, message):
    with pytest.raises(ValueError, match=message):
        load_data(items).train.__getitems__(range(4))

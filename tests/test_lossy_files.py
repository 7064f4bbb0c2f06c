"""What lossy coders change is known of their files, and counts as noise where the picture is restored."""

import numpy as np
import pytest
from PIL import Image, features
from skimage import data

import deconv
from deconv.cli import main, noise
from deconv.cli.inputs import read_source
from deconv.imaging import psf, psnr, read_image
from deconv.imaging.codecs.jpeg_error import plane_error
from deconv.imaging.files import read_picture
from deconv.imaging.rounding import rounding_error


def photograph(name: str) -> np.ndarray:
    image = {"cup": data.coffee, "face": data.astronaut}[name]()[100:356, 100:356]
    return deconv.degrade(image, psf.camera_shake(11, seed=1), noise=0.004, seed=0)


def written(image: np.ndarray, path, **options) -> np.ndarray:
    Image.fromarray(image).save(path, **options)
    with Image.open(path) as read:
        return (np.asarray(read.convert("L" if image.ndim == 2 else "RGB"), float) - image) / 255


@pytest.mark.parametrize("scale", [0.5, 3.0, 40.0])
def test_the_error_of_rounding_laplacian_coefficients_is_what_it_is(scale):
    steps = np.linspace(4, 12, 64)
    given = np.random.default_rng(0).laplace(scale=scale, size=(1 << 15, 64))
    rounded = np.rint(given / steps) * steps
    rounded[:, 0] = given[:, 0] = 0
    expected = ((given - rounded) ** 2).sum() / len(given) / 64 + steps[0] ** 2 / 12 / 64
    # Below the step, what a few blocks keep is left to them: its variance, 2 b^2, is all that is at stake.
    assert plane_error(rounded, steps) == pytest.approx(expected, rel=0.02, abs=2 * scale**2 if scale < 1 else 0)


@pytest.mark.parametrize("name", ["cup", "face"])
@pytest.mark.parametrize("quality", [60, 80, 92])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "4:2:2"])
def test_the_error_of_a_jpeg_is_measured_in_its_file(tmp_path, name, quality, subsampling):
    error = written(photograph(name), tmp_path / "a.jpg", quality=quality, subsampling=subsampling)
    picture = read_picture(tmp_path / "a.jpg")
    np.testing.assert_allclose(picture.loss, np.sqrt((error**2).mean((0, 1))), rtol=0.3)
    assert picture.quality == pytest.approx(quality, abs=2)


def test_the_error_of_a_grey_jpeg_is_measured(tmp_path):
    error = written(photograph("cup")[..., 1], tmp_path / "a.jpg", quality=80)
    assert read_picture(tmp_path / "a.jpg").loss == pytest.approx([np.sqrt((error**2).mean())], rel=0.2)


@pytest.mark.parametrize("name", ["cup", "face"])
@pytest.mark.parametrize("quality", [75, 90])
@pytest.mark.parametrize("grey", [False, True])
def test_jpeg_in_a_tiff_has_an_error(tmp_path, name, quality, grey):
    image = photograph(name)[..., 1] if grey else photograph(name)
    error = written(image, tmp_path / "a.tif", compression="jpeg", quality=quality)
    assert read_picture(tmp_path / "a.tif").loss == pytest.approx([np.sqrt((error**2).mean())], rel=0.5)
    written(image, tmp_path / "b.tif", compression="tiff_lzw")
    assert read_picture(tmp_path / "b.tif").loss == ()


@pytest.mark.parametrize("name", ["cup", "face"])
@pytest.mark.parametrize("colours", [32, 256])
@pytest.mark.parametrize("dithered", [False, True])
@pytest.mark.parametrize("ending", ["gif", "png", "tif"])
def test_the_error_of_a_palette_is_seen_in_its_colours(tmp_path, name, colours, dithered, ending):
    image = Image.fromarray(photograph(name))
    palette = image.quantize(colours)
    few = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) if dithered else palette
    few.save(tmp_path / f"a.{ending}")
    error = np.sqrt(((np.asarray(few.convert("RGB"), float) - np.asarray(image)) ** 2).mean()) / 255
    source = read_source(tmp_path / f"a.{ending}", None)
    assert error < source.picture.loss[0] < 2.8 * error
    sigma = noise.overall(noise.estimate(source, linear=False))
    assert sigma > 0.9999 * source.picture.loss[0]
    words = noise.in_words(source, sigma, linear=False)
    assert ("the error of its palette" in words) == (sigma < 1.0001 * source.picture.loss[0])


def test_a_palette_that_is_as_fine_as_eight_bits_has_no_error(tmp_path):
    image = Image.fromarray(photograph("cup")[..., 1])
    for ending in ("gif", "png"):
        palette = image.convert("P")
        palette.putpalette([level for level in range(256) for _ in range(3)])
        palette.save(tmp_path / f"a.{ending}")
        with Image.open(tmp_path / f"a.{ending}") as read:
            assert (np.asarray(read.convert("L")) == np.asarray(image)).all()
        assert sum(read_picture(tmp_path / f"a.{ending}").loss) < 0.002
    Image.new("P", (8, 8), 3).save(tmp_path / "one.png")
    assert read_picture(tmp_path / "one.png").loss == ()


@pytest.mark.parametrize(
    ("mode", "options"),
    [("CMYK", {}), ("RGB", {"keep_rgb": True, "subsampling": 0}), ("RGB", {"subsampling": "4:2:0"})],
)
@pytest.mark.parametrize("size", [(1, 1), (7, 30), (17, 16)])
def test_any_colours_and_any_size_have_an_error(tmp_path, mode, options, size):
    pixels = np.random.default_rng(0).integers(0, 255, (*size, len(mode)), np.uint8)
    Image.fromarray(pixels, mode).save(tmp_path / "a.jpg", quality=50, **options)
    loss = read_picture(tmp_path / "a.jpg").loss
    assert len(loss) in (1, 3)
    assert all(0.002 < each < 0.2 for each in loss)


def test_what_is_not_lossy_has_no_error(tmp_path):
    for name, options in (("a.png", {}), ("a.webp", {"lossless": True}), ("a.tif", {}), ("a.jp2", {})):
        Image.fromarray(photograph("cup")).save(tmp_path / name, **options)
        assert read_picture(tmp_path / name).loss == ()
        assert read_picture(tmp_path / name).quality is None


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("webp", {"quality": 85}),
        ("jp2", {"irreversible": True, "quality_mode": "rates", "quality_layers": [15]}),
        pytest.param(
            "avif",
            {"quality": 80},
            marks=pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF"),
        ),
    ],
)
def test_the_usual_error_of_other_coders_is_that_of_a_blurred_photograph(tmp_path, ending, options):
    error = written(photograph("face"), tmp_path / f"a.{ending}", **options)
    assert read_picture(tmp_path / f"a.{ending}").loss == pytest.approx([np.sqrt((error**2).mean())], rel=0.5)


def test_the_error_is_one_of_light_where_the_picture_is(tmp_path):
    """A bright picture has more of it, a dark one less, than its values have."""
    levels = {}
    for name, brightness in (("dark", 0.2), ("bright", 0.95)):
        grain = photograph("cup")[..., 1] * 0.1 + 255 * (brightness - 0.05)
        Image.fromarray(grain.astype(np.uint8)).save(tmp_path / f"{name}.jpg", quality=50)
        source = read_source(tmp_path / f"{name}.jpg", None)
        levels[name] = [float(noise.estimate(source, linear=linear)) for linear in (False, True)]
    assert levels["dark"][1] < 0.6 * levels["dark"][0]
    assert levels["bright"][1] > 1.8 * levels["bright"][0]


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("scale", [1, 257])
def test_few_levels_are_no_picture_without_noise(tmp_path, bits, scale, capsys):
    """Between them nothing is seen of a blurred picture, and it rang: a scanner's page of 4 bits, say."""
    latent = data.camera()[100:260, 100:300] / 255
    motion = psf.motion(9, 20)
    highest = 2**bits - 1
    levels = np.rint(deconv.degrade(latent, motion, noise=0.004, seed=0).clip(0, 1) * highest)
    pixels = (levels * (255 // highest * scale)).astype(np.uint8 if scale == 1 else np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert main(["deblur", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png"), "--psf", "motion:9,20"]) == 0
    assert f"the error of its {highest + 1} levels" in capsys.readouterr().out
    above, left = (n // 2 for n in motion.shape)
    truth = latent[above : -above or None, left : -left or None]
    before, after = (
        psnr(image / np.iinfo(image.dtype).max, truth) for image in (pixels, read_image(tmp_path / "b.png"))
    )
    assert after > before + (2 if bits == 4 else 0.1)


def test_rounding_leaves_the_error_that_it_has():
    values = np.random.default_rng(0).random((256, 256))
    for steps in (1, 3, 15, 40):
        rounded = np.rint(values * steps) / steps
        count, error = rounding_error(np.rint(rounded * 65535).astype(np.uint16))
        assert count == steps + 1
        assert 0.99 < error / np.sqrt(((rounded - values) ** 2).mean()) < 1.01
    assert rounding_error(np.rint(values * 255).astype(np.uint8)) == (0, 0.0)
    assert rounding_error(np.full((8, 8), 7, np.uint8)) == (0, 0.0)
    dark = np.arange(3000).reshape(50, 60) % 30
    hot = np.where(dark == 0, 255, dark)
    for pixels in (dark, hot):
        assert rounding_error(pixels.astype(np.uint8))[1] == pytest.approx(12**-0.5 / 255)

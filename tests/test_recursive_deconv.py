"""The recursive Wiener layer: against the filter by FFT, as a module, and learning."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch

from deconv.imaging.boundary import crop, extend
from deconv.imaging.convolution import valid_margins
from deconv.imaging.degradation import degrade
from deconv.imaging.metrics import psnr
from deconv.imaging.psf import camera_shake, disk, gaussian, motion
from deconv.nn.recursive_deconv import RecursiveDeconv2d
from deconv.nn.recursive_filter import wiener_factor
from deconv.ops.inverse_conv import inverse_conv2d
from deconv.restore import wiener

PSFS = {
    "gaussian": gaussian(1.5),
    "motion": motion(11, 20),
    "flat motion": motion(11, 0),
    "shake": camera_shake(11, seed=1),
    "disk": disk(3.0),
    "even sizes": torch.ones(4, 6) / 24,
}


def photograph(name):
    from skimage import data

    image = getattr(data, name)()
    image = image if image.ndim == 2 else image.mean(-1)
    return torch.from_numpy((image / 255).astype(np.float32))[None, None]


def observe(sharp, psf, seed=0):
    return degrade(sharp, psf, noise=0.01, seed=seed), crop(sharp, valid_margins(psf.shape))


def by_fft(image, psf, ratio):
    """The textbook's filter on an image continued far and smoothly, by NumPy."""
    margins = ((150, 150), (150, 150))
    padded = extend(image.double(), margins).numpy()
    shape = padded.shape[-2:]
    placed = np.zeros(shape)
    placed[: psf.shape[0], : psf.shape[1]] = psf
    h = np.fft.fft2(np.roll(placed, [-((s - 1) // 2) for s in psf.shape], (0, 1)))
    mean = padded.mean()
    filtered = np.fft.ifft2(h.conj() / (abs(h) ** 2 + ratio) * np.fft.fft2(padded - mean)).real + mean
    return crop(torch.from_numpy(filtered), margins)


@pytest.mark.parametrize("name", PSFS)
def test_it_starts_as_the_textbook_filter(name):
    psf = PSFS[name]
    observed, _ = observe(photograph("camera")[..., 100:300, 100:320], psf)
    restored = RecursiveDeconv2d.from_psf(psf, 1e-2)(observed)
    # The filter reaches so far that what both made up outside shows twenty pixels inside, but no more than this.
    assert psnr(restored.detach(), by_fft(observed, psf, 1e-2), border=20) > 42


@pytest.mark.parametrize("name", PSFS)
def test_with_a_natural_spectrum_it_is_the_wiener_filter(name):
    psf = PSFS[name]
    observed, _ = observe(photograph("camera"), psf)
    layer = RecursiveDeconv2d.from_psf(psf, 3e-3, learnable=False, spectrum="natural")
    expected = wiener(observed, psf, noise_to_signal=3e-3, num_iter=3)
    assert psnr(layer(observed), expected, border=20) > 42


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 1, 9), (2, 3, 7, 5), (1, 2, 40, 31), (1, 1, 3, 200)])
def test_any_size_and_one_colour_stays(shape):
    layer = RecursiveDeconv2d.from_psf(camera_shake(7, seed=0), 1e-2, learnable=False)
    image = torch.full(shape, 0.7)
    torch.testing.assert_close(layer(image), image, atol=1e-5, rtol=0)
    assert layer(torch.rand(shape, generator=torch.Generator().manual_seed(0))).isfinite().all()


def test_samples_and_channels_are_restored_alike():
    layer = RecursiveDeconv2d.from_psf(gaussian(1.0), 1e-2, learnable=False)
    image = torch.rand(2, 3, 20, 22, generator=torch.Generator().manual_seed(0))
    together = layer(image)
    for b in range(2):
        for c in range(3):
            alone = layer(image[b : b + 1, c : c + 1])
            torch.testing.assert_close(together[b : b + 1, c : c + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_is_the_images(dtype):
    layer = RecursiveDeconv2d.from_psf(gaussian(1.0), 1e-2, learnable=False)
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    restored = layer(image.to(dtype))
    assert restored.dtype == dtype
    torch.testing.assert_close(restored.float(), layer(image), atol=0.2, rtol=0)
    assert RecursiveDeconv2d.from_psf(gaussian(1.0), 1e-2, dtype=torch.float64).weight.dtype == torch.float64


@pytest.mark.parametrize("shape", [(0, 1, 9, 8), (2, 0, 9, 8), (1, 1, 0, 8)])
def test_no_images_give_none(shape):
    assert RecursiveDeconv2d.from_psf(gaussian(1.0), 1e-2)(torch.zeros(shape)).shape == shape


def test_autocast_lowers_nothing():
    layer, image = RecursiveDeconv2d.from_psf(gaussian(1.0), 1e-3), torch.rand(1, 1, 20, 17)
    expected = layer(image)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(image), expected, rtol=0, atol=0)


def test_the_sum_of_the_psf_divides_the_brightness():
    layer = RecursiveDeconv2d.from_psf(2 * gaussian(1.0), 1e-2, learnable=False)
    torch.testing.assert_close(layer(torch.full((1, 1, 9, 9), 0.8)), torch.full((1, 1, 9, 9), 0.4))


def test_gradients():
    layer = RecursiveDeconv2d.from_psf(gaussian(0.6, size=3), 0.2, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
    image = torch.rand(1, 1, 4, 5, dtype=torch.float64, generator=generator).requires_grad_()

    def restore(image, *parameters):
        names = [name for name, _ in layer.named_parameters()]
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (image,))

    assert torch.autograd.gradcheck(restore, (image, *layer.parameters()))


def test_the_raster_runs_across_the_blur():
    for psf, along in ((motion(15, 0), True), (motion(15, 90), False)):
        factor, transposed = wiener_factor(psf, 3e-3)
        assert transposed == along
        assert factor.numel() < 15 * 12


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_no_parameters_make_it_unstable(scale):
    layer = RecursiveDeconv2d.from_psf(motion(9, 30), 1e-2)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        layer.cepstrum += scale * torch.randn(layer.cepstrum.shape, generator=generator)
    point = torch.zeros(1, 1, 160, 241, dtype=torch.float64)
    point[..., 0, 120] = 1
    response = inverse_conv2d(point, layer.weight.detach().double(), support="half")[0, 0].abs().amax(1)
    assert response[120:].max() < 0.2 * response[:40].max()


def changed():
    layer = RecursiveDeconv2d.from_psf(motion(9, 10), 1e-2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=generator)
    return layer


def through_state_dict(layer):
    other = RecursiveDeconv2d(torch.ones_like(layer.numerator), torch.ones_like(layer.first_factor))
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    return other


@pytest.mark.parametrize("copied", [through_state_dict, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_restore_the_same(copied):
    layer = changed()
    image = torch.rand(1, 1, 24, 20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(copied(layer)(image), layer(image))


def test_a_forward_changes_nothing():
    layer = changed()
    before = copy.deepcopy(layer.state_dict())
    image = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(image), layer(image))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_what_is_learnable():
    assert {name for name, p in changed().named_parameters() if p.requires_grad} == {
        "numerator_change",
        "cepstrum",
    }
    constant = RecursiveDeconv2d.from_psf(gaussian(1.0), 1e-2, learnable=False)
    assert not any(p.requires_grad for p in constant.parameters())
    assert "11x11" in repr(RecursiveDeconv2d.from_psf(camera_shake(11, seed=0), 1e-2))


def lessons(psf, size=120):
    """Crops of photographs, observed and sharp."""
    pairs = []
    for i, name in enumerate(("astronaut", "coffee", "chelsea", "moon")):
        image = photograph(name)
        top, left = ((n - size) // 2 for n in image.shape[2:])
        pairs.append(observe(image[..., top : top + size, left : left + size], psf, seed=i + 1))
    return (torch.cat(images) for images in zip(*pairs, strict=True))


@pytest.mark.parametrize(("optimizer", "gain"), [("quasi-Newton", 1.0), ("Adam", 0.7)])
def test_learning_improves_on_images_not_seen(optimizer, gain):
    psf = camera_shake(9, seed=2)
    observed, sharp = lessons(psf)
    unseen, truth = observe(photograph("camera")[..., 100:400, 100:400], psf)
    layer = RecursiveDeconv2d.from_psf(psf, 1e-2)
    with torch.no_grad():
        before = psnr(layer(unseen), truth)

    if optimizer == "Adam":
        adam = torch.optim.Adam(layer.parameters(), lr=1e-2)
        for _ in range(30):
            adam.zero_grad()
            (layer(observed) - sharp).square().mean().backward()
            adam.step()
    else:
        newton = torch.optim.LBFGS(layer.parameters(), max_iter=10, line_search_fn="strong_wolfe")

        def closure():
            newton.zero_grad()
            loss = (layer(observed) - sharp).square().mean()
            loss.backward()
            return loss

        newton.step(closure)
    with torch.no_grad():
        assert psnr(layer(unseen), truth) > before + gain


@pytest.mark.parametrize(
    ("error", "name", "call"),
    [
        (ValueError, "noise_to_signal", lambda: RecursiveDeconv2d.from_psf(gaussian(1.0), 0.0)),
        (ValueError, "spectrum", lambda: RecursiveDeconv2d.from_psf(gaussian(1.0), 0.1, spectrum="pink")),
        (ValueError, "psf", lambda: RecursiveDeconv2d.from_psf(-gaussian(1.0), 0.1)),
        (ValueError, "numerator", lambda: RecursiveDeconv2d(torch.ones(3), torch.ones(3, 5))),
        (ValueError, "factor", lambda: RecursiveDeconv2d(torch.ones(3, 3), torch.ones(3, 4))),
        (ValueError, "image", lambda: changed()(torch.ones(5, 5))),
        (TypeError, "image", lambda: changed()(torch.ones(1, 1, 5, 5, dtype=torch.int64))),
    ],
)
def test_what_is_refused(error, name, call):
    with pytest.raises(error, match=f"^{name}: "):
        call()

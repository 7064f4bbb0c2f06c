"""A camera that moves and turns: one density of its positions, and the psfs that it makes all over the frame."""

from __future__ import annotations

import math
import warnings

import pytest
import skimage.data
import torch
import torch.nn.functional as F

from deconv import degrade, hyper_laplacian
from deconv.blind import KernelEstimate, aligned_psnr, deblur, estimate_varying, kernel_similarity
from deconv.blind.camera_motion import CameraMotion, Projection, lengths_of_turn
from deconv.blind.comparison import compare
from deconv.blind.frame_tiles import FrameTiles, place_in_frame
from deconv.blind.motion_search import fit_density
from deconv.blind.psf_step import NormalEquations
from deconv.blind.registration import registered, shift_between
from deconv.imaging.psf import camera_shake, gaussian
from deconv.imaging.psf.moments import centroid
from deconv.imaging.psf.shift import shifted

PLACES = [(-0.3, -0.6), (0.0, 0.0), (0.25, 0.5)]


def random_density(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_position_puts_the_light_where_it_turns_to():
    turns = torch.tensor([-10.0, 0.0, 10.0])
    density = torch.zeros(3, 21, 21)
    density[2, 11, 8] = 1  # shifted by 1 downwards and 2 to the left, turned by 10 pixels at the corner
    for (y, x), psf in zip(PLACES, CameraMotion(density, turns).psfs(PLACES), strict=True):
        middle = torch.arange(21) - 10.0
        found = float((psf.sum(1) * middle).sum()), float((psf.sum(0) * middle).sum())
        assert found == pytest.approx((1 + 10 * x, -2 - 10 * y), abs=1e-4)


def test_the_adjoint_of_the_projection():
    projection = Projection(PLACES, lengths_of_turn(4.0), (13, 11))
    density, psfs = random_density(9, 13, 11), random_density(3, 13, 11, seed=1)
    there, back = (projection.psfs(density) * psfs).sum(), (density * projection.adjoint(psfs)).sum()
    assert float(there) == pytest.approx(float(back), rel=1e-5)


def test_without_a_turn_the_psf_is_the_same_everywhere():
    psf = camera_shake(11, seed=1)
    motion = CameraMotion.of_psf(psf, lengths_of_turn(3.0))
    assert torch.allclose(motion.psfs(PLACES), psf.expand(3, 11, 11), atol=1e-6)
    assert motion.turned == pytest.approx(0)


def test_an_even_turn_is_as_long_as_it_is():
    turns = lengths_of_turn(6.0)
    assert CameraMotion(torch.ones(13, 3, 3) / 117, turns).turned == pytest.approx(12.0, abs=1.1)


def test_a_motion_made_level_turns_nothing_in_the_mean():
    """The centroids of the psfs are where the mean turn has taken their places: for a mean of zero, all in one."""
    density = random_density(3, 9, 9) * torch.tensor([0.2, 0.3, 0.5])[:, None, None]
    density = F.pad(density, [8] * 4)
    motion = CameraMotion(density / density.sum(), torch.tensor([-4.0, 0.0, 4.0]))

    def spread_of_centroids(motion: CameraMotion) -> float:
        return float(torch.stack([centroid(psf) for psf in motion.psfs(PLACES)]).std(0).max())

    assert spread_of_centroids(motion) > 0.1
    assert spread_of_centroids(motion.level) < 1e-3
    assert motion.level.turned == pytest.approx(motion.turned)


def test_the_density_of_known_gradients():
    """Psfs from latent images that are known are those that blurred them, in a place that none of these was at."""
    size, turns = (15, 15), lengths_of_turn(3.0)
    density = torch.zeros(7, 15, 15)
    for k, (row, column) in enumerate([(5, 4), (6, 5), (6, 7), (7, 8), (8, 8), (9, 10), (8, 11)]):
        density[k, row, column] = 1 / 7
    truth = CameraMotion(density, turns)
    gradients = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    otfs = torch.fft.rfft2(F.pad(truth.psfs(PLACES), (0, 49, 0, 49)).roll((-7, -7), (1, 2)))
    equations = NormalEquations.of(gradients, torch.fft.rfft2(gradients) * otfs, size, ridge=0.0)
    start = CameraMotion.of_psf(truth.psfs(PLACES).mean(0), turns).density
    found = CameraMotion(fit_density(equations, Projection(PLACES, turns, size), start), turns)
    elsewhere = [(0.4, -0.4)]
    assert kernel_similarity(found.psfs(elsewhere)[0], truth.psfs(elsewhere)[0]) > 0.95


def test_shifted_copies_are_registered_to_one_psf():
    psf = gaussian(1.2, 25) + shifted(gaussian(1.5, 25), (3.0, 2.0)).float()
    psf = psf / psf.sum()
    moves = [[(0.0, 0.0), (1.5, -2.25)], [(-0.75, 1.0), (3.0, 2.5)]]
    copies = torch.stack([torch.stack([shifted(psf, move).float() for move in row]) for row in moves])
    assert shift_between(copies[0, 0], copies[1, 1])[0] == pytest.approx((3.0, 2.5), abs=0.07)
    together = registered(copies)
    assert float((copies - copies[0, 0]).abs().sum((2, 3)).max()) > 0.5
    assert float((together - together[0, 0]).abs().sum((2, 3)).max()) < 0.05


def test_tiles_cover_the_frame_and_stay_within():
    for frame in ((283, 443), (64, 64), (3000, 4000)):
        tiles = FrameTiles.of(frame, (15, 15))
        image = torch.arange(frame[0] * frame[1], dtype=torch.float32).reshape(1, 1, *frame)
        assert tiles.cut(image).shape == (len(tiles.corners), 1, *tiles.size)
        assert all(math.hypot(*place) < 1 for place in tiles.places)
        assert torch.tensor(tiles.places).mean(0).abs().max() < 0.01
    assert place_in_frame(99.5, 149.5, (200, 300)) == (0.0, 0.0)


class _Turned:
    """A photograph under a camera that moves along a curve and turns, every position rendered in float64."""

    def __init__(self, turn: float, frame: tuple[int, int] = (180, 240), margin: int = 16) -> None:
        t = torch.linspace(-1, 1, 41, dtype=torch.float64)
        path = torch.stack([4 * t.square() - 4 / 3, 5 * t, turn / 2 * t], 1)
        self.half = math.hypot(*frame) / 2
        top, left = 40, 140
        rows, columns = (n + 2 * margin for n in frame)
        scene = torch.from_numpy(skimage.data.camera()[top : top + rows, left : left + columns]).double() / 255
        y, x = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in frame), indexing="ij")
        total = torch.zeros(frame, dtype=torch.float64)
        for down, right, u in path.tolist():
            a = u / self.half
            qy, qx = y.double() - down, x.double() - right
            source = math.cos(a) * qy - math.sin(a) * qx, math.sin(a) * qy + math.cos(a) * qx
            place = torch.stack([source[1] / ((columns - 1) / 2), source[0] / ((rows - 1) / 2)], -1)
            total += F.grid_sample(scene[None, None], place[None], "bicubic", align_corners=True)[0, 0]
        noise = torch.randn(frame, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.seen = (total / len(path) + 0.01 * noise).float()
        self.sharp = scene[margin:-margin, margin:-margin].float()
        middle = torch.zeros(1, 15, 15)
        for down, right, _ in path.tolist():
            middle[0, 7 + round(down), 7 + round(right)] += 1 / len(path)
        self.middle = KernelEstimate(middle[0], self.seen, 0.0, (middle[0],), confidence=1.0)


def test_a_turning_camera_is_found_and_beats_one_psf():
    case = _Turned(turn=7.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        restored, found = deblur(case.seen, estimated=case.middle, field="auto", info=True)
    assert found.varies
    assert found.words.startswith("the blur varies over the frame, from ")
    assert found.turn == pytest.approx(math.degrees(7.0 / case.half), rel=0.35)
    assert torch.allclose(found.psfs.sum((2, 3)), torch.ones(found.psfs.shape[:2]), atol=1e-5)
    one = deblur(case.seen, estimated=case.middle)
    assert aligned_psnr(restored, case.sharp) > aligned_psnr(one, case.sharp) + 1.5
    misfits = [
        compare(case.seen[None, None], each[None, None], psf)[0]
        for each, psf in ((restored, found.psfs), (one, found.psfs))
    ]
    assert misfits[0] < misfits[1]


def test_where_one_psf_explains_all_it_is_kept():
    case = _Turned(turn=0.0, frame=(96, 128))
    found = estimate_varying(case.seen, estimated=case.middle)
    assert not found.varies
    assert found.words.startswith("one psf explains all of the frame: the camera shook")
    assert torch.equal(found.psfs[0, 0], case.middle.psf)
    assert found.turn == 0


def test_a_field_of_one_psf_restores_colours_together_as_one_psf_does():
    photograph = torch.from_numpy(skimage.data.astronaut()[100:180, 150:240]).permute(2, 0, 1)[None].float() / 255
    psf = camera_shake(7, seed=1)
    blurred = degrade(photograph, psf, noise=0.01, seed=0)
    constant, one = (
        hyper_laplacian(blurred, sigma=0.01, num_iter=8, **blur)
        for blur in ({"psf_field": psf.expand(2, 3, 7, 7)}, {"psf": psf})
    )
    apart = hyper_laplacian(blurred, psf, sigma=0.01, num_iter=8, colours=False)
    assert float((constant - one).abs().mean()) < 0.1 * float((apart - one).abs().mean())


def test_what_does_not_go_with_a_grid_of_tiles_is_refused():
    image = torch.rand(64, 64)
    psf = KernelEstimate(camera_shake(5), image, 0.0, ())
    with pytest.raises(ValueError, match='estimated: is one psf, which goes with field=None and "auto"'):
        deblur(image, estimated=psf, field=(2, 2))
    with pytest.raises(ValueError, match=r"model: is for one psf, and tiles take starts only, given field=\(1, 2\)"):
        deblur(image, field=(1, 2), model="shake")

"""Psfs: sum 1, centred, and each against the closed form that defines it."""

from __future__ import annotations

import math

import pytest
import torch

from deconv.imaging import psf
from deconv.imaging.convolution import psf_to_otf

# Every maker at whole, fractional and tiny parameters, at its own and at given sizes, odd and even.
MAKERS = {
    "gaussian": lambda: psf.gaussian(1.7),
    "gaussian, even": lambda: psf.gaussian(2.0, 8),
    "gaussian, cut": lambda: psf.gaussian(3.0, (5, 8)),
    "gaussian, tiny": lambda: psf.gaussian(0.01),
    "disk": lambda: psf.disk(4),
    "disk, fractional": lambda: psf.disk(3.3, (12, 15)),
    "disk, tiny": lambda: psf.disk(0.2),
    "disk, a point": lambda: psf.disk(1e-6),
    "box": lambda: psf.box(5),
    "box, fractional": lambda: psf.box((2.5, 4.1)),
    "motion": lambda: psf.motion(15),
    "motion, turned": lambda: psf.motion(12.4, 33, 20),
    "motion, upright": lambda: psf.motion(7, 90),
    "motion, tiny": lambda: psf.motion(0.1, 45),
    "shake": lambda: psf.camera_shake(31, seed=3),
    "shake, even": lambda: psf.camera_shake((24, 17), seed=4),
    "shake, one pixel": lambda: psf.camera_shake(1),
    "inertial": lambda: psf.inertial_shake(31, seed=3),
    "inertial, even": lambda: psf.inertial_shake((24, 17), jerks=0, seed=4),
    "polyline": lambda: psf.polyline_shake(31, seed=3),
    "polyline, straight": lambda: psf.polyline_shake((24, 17), corners=0, seed=4),
    "polyline, one pixel": lambda: psf.polyline_shake(1),
}


def moments(h: torch.Tensor) -> tuple[float, float, float, float, float]:
    """Centroid and second central moments, in pixels from the centre: rows, columns, rr, cc, rc."""
    h = h.double() / h.double().sum()
    row, column = (torch.arange(s, dtype=torch.float64) - (s - 1) // 2 for s in h.shape)
    row, column = row[:, None], column[None, :]
    r, c = float((h * row).sum()), float((h * column).sum())
    dr, dc = row - r, column - c
    return r, c, float((h * dr**2).sum()), float((h * dc**2).sum()), float((h * dr * dc).sum())


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_every_psf_is_a_centred_density(make):
    h = make()
    assert h.dtype == torch.float32
    assert h.ndim == 2
    assert h.is_contiguous()
    assert float(h.min()) >= 0
    assert float(h.double().sum()) == pytest.approx(1, abs=1e-6)
    row, column, *_ = moments(h)
    assert abs(row) < 1e-5
    assert abs(column) < 1e-5
    assert torch.equal(h, make())


@pytest.mark.parametrize("make", [psf.gaussian, psf.disk, lambda r, size=None: psf.motion(3 * r, 20, size)])
@pytest.mark.parametrize("size", [32, 33, (40, 35), (35, 40)])
def test_the_size_asked_for_moves_nothing(make, size):
    """The psf in a larger array is the same psf around the same centre, (s - 1) // 2."""
    h, tight = make(3.3, size), make(3.3)
    assert tuple(h.shape) == ((size, size) if isinstance(size, int) else size)
    top, left = ((s - 1) // 2 - n // 2 for s, n in zip(h.shape, tight.shape, strict=True))
    inside = h[top : top + tight.shape[0], left : left + tight.shape[1]]
    torch.testing.assert_close(inside, tight, atol=1e-4, rtol=0)


@pytest.mark.parametrize("sigma", [0.8, 1.0, 1.5, 2.0, 5.3])
def test_gaussian_has_its_variance_and_its_transfer_function(sigma):
    h = psf.gaussian(sigma)
    _, _, rr, cc, rc = moments(h)
    assert rr == pytest.approx(sigma**2, rel=3e-3)
    assert cc == pytest.approx(sigma**2, rel=3e-3)
    assert abs(rc) < 1e-6
    frequency = 2 * math.pi * torch.fft.rfftfreq(64, dtype=torch.float64)
    otf = psf_to_otf(h.double(), (64, 64))[0].real
    tolerance = 0.05 if sigma < 1 else 0.01
    torch.testing.assert_close(otf, torch.exp(-((sigma * frequency) ** 2) / 2), atol=tolerance, rtol=0)


@pytest.mark.parametrize("radius", [1.0, 2.5, 3.3, 10.0])
def test_disk_holds_the_area_of_a_disk(radius):
    h = psf.disk(radius).double()
    assert float(h.max()) == pytest.approx(1 / (math.pi * radius**2), rel=2e-3)
    torch.testing.assert_close(h, h.T)
    torch.testing.assert_close(h, h.flip(0))
    # Transfer function 2 J1(wR) / wR, times the pixel's sinc.
    w = 2 * math.pi * torch.arange(1, 9, dtype=torch.float64) / 128
    otf = psf_to_otf(h, (128, 128))[0, 1:9].real
    expected = 2 * torch.special.bessel_j1(w * radius) / (w * radius) * torch.sinc(w / 2 / math.pi)
    torch.testing.assert_close(otf, expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize(("width", "rows", "columns"), [(3, [1, 1, 1], [1, 1, 1]), ((1, 4), [1], [1, 1, 1, 1])])
def test_box_of_whole_width_has_equal_taps(width, rows, columns):
    expected = torch.tensor(rows, dtype=torch.float32)[:, None] * torch.tensor(columns, dtype=torch.float32)
    torch.testing.assert_close(psf.box(width), expected / expected.sum())


def test_box_of_fractional_width_covers_its_outermost_pixels_in_part():
    torch.testing.assert_close(psf.box((1, 2.5)), torch.tensor([[0.75, 1, 0.75]]) / 2.5)


@pytest.mark.parametrize("length", [1, 7, 15])
def test_motion_along_an_axis_is_a_box(length):
    torch.testing.assert_close(psf.motion(length), psf.box((1, length)))
    torch.testing.assert_close(psf.motion(length, 90), psf.box((length, 1)))
    torch.testing.assert_close(psf.motion(length, 180), psf.box((1, length)))


@pytest.mark.parametrize("angle", [10, 30, 45, 60, 120, 150, 225, -30])
@pytest.mark.parametrize("length", [6.5, 15, 40])
def test_motion_has_the_moments_of_a_line_in_its_direction(length, angle):
    """A rectangle of length L and width 1, each pixel's share put at its centre, which adds 1/12."""
    _, _, rr, cc, rc = moments(psf.motion(length, angle))
    cos, sin = math.cos(math.radians(angle)), -math.sin(math.radians(angle))  # rows count downwards
    along, across = length**2 / 12, 1 / 12
    assert rr == pytest.approx(along * sin**2 + across * cos**2 + 1 / 12, rel=0.04, abs=0.06)
    assert cc == pytest.approx(along * cos**2 + across * sin**2 + 1 / 12, rel=0.04, abs=0.06)
    assert rc == pytest.approx((along - across) * sin * cos, rel=0.04)


def test_motion_turns_counter_clockwise():
    h = psf.motion(9, 45)
    assert float(h[1, -2]) > 0.05
    assert float(h[-2, 1]) > 0.05
    assert float(h[1, 1]) == 0


@pytest.mark.parametrize("angle", [0, 17, 45, 71])
def test_motion_has_the_symmetries_of_its_angle(angle):
    h = psf.motion(11.3, angle)
    torch.testing.assert_close(h, psf.motion(11.3, angle + 180))
    torch.testing.assert_close(h, h.flip(0, 1))
    torch.testing.assert_close(h.flip(1), psf.motion(11.3, -angle))
    torch.testing.assert_close(h.rot90(), psf.motion(11.3, angle + 90))


@pytest.mark.parametrize("shake", [psf.camera_shake, psf.inertial_shake, psf.polyline_shake])
@pytest.mark.parametrize("seed", range(4))
def test_shake_is_one_path_that_fills_its_array(shake, seed):
    h = shake(41, seed=seed)
    lit = h > 0
    rows, columns = lit.any(1), lit.any(0)
    assert rows[0] or rows[-1] or columns[0] or columns[-1]
    # One connected piece: growing from any lit pixel reaches every other one.
    piece = torch.zeros_like(lit)
    piece.view(-1)[int(lit.view(-1).nonzero()[0])] = True
    for _ in range(lit.numel()):
        grown = torch.nn.functional.max_pool2d(piece[None, None].float(), 3, 1, 1)[0, 0].bool() & lit
        if torch.equal(grown, piece):
            break
        piece = grown
    assert torch.equal(piece, lit)
    # Speed varies: an even line has all its light between similar bounds.
    assert float(h.max()) > 3 * float(h[lit].median())
    assert float(lit.float().mean()) < 0.35


def test_shake_is_smooth():
    """A hand cannot scribble: on the average the path is not much longer than twice its array."""
    lit = [int((psf.camera_shake(41, seed=seed) > 0).sum()) for seed in range(12)]
    assert sum(lit) / len(lit) < 4.7 * 41  # a line that is not straight lights two pixels and more per step


def test_a_polyline_without_corners_is_a_line_with_light_at_its_ends():
    h = psf.polyline_shake(41, corners=0, seed=1).double()
    _, _, rr, cc, rc = moments(h)
    across = torch.linalg.eigvalsh(torch.tensor([[rr, rc], [rc, cc]]))
    assert float(across[0]) < 0.3  # a line of one pixel's width
    along = torch.linalg.vector_norm(torch.stack(torch.meshgrid(*2 * [torch.arange(41.0) - 20], indexing="ij")), dim=0)
    reach = float(along[h > 0].max())
    per_pixel = [float(h[near & (h > 0)].sum()) / 4 for near in (along > reach - 4, (along > 4) & (along < 8))]
    assert per_pixel[0] > 1.5 * per_pixel[1]


def test_jerks_and_corners_are_whole_numbers():
    assert not torch.equal(psf.inertial_shake(21, jerks=0), psf.inertial_shake(21, jerks=4))
    for wrong in (-1, 1.5):
        with pytest.raises(ValueError, match="jerks"):
            psf.inertial_shake(21, jerks=wrong)
        with pytest.raises(ValueError, match="corners"):
            psf.polyline_shake(21, corners=wrong)


def test_shake_depends_on_its_seed_alone():
    torch.manual_seed(0)
    one = psf.camera_shake(25, seed=5)
    torch.rand(3)
    assert torch.equal(one, psf.camera_shake(25, seed=5))
    assert not torch.equal(one, psf.camera_shake(25, seed=6))
    state = torch.random.get_rng_state()
    psf.camera_shake(25, seed=7)
    assert torch.equal(state, torch.random.get_rng_state())


def test_shake_keeps_its_path_at_another_size():
    small, large = psf.camera_shake(31, seed=2), psf.camera_shake(61, seed=2)
    for a, b in zip(moments(small)[2:], moments(large)[2:], strict=True):
        assert b == pytest.approx(4 * a, rel=0.05, abs=0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gaussian:2.0", lambda: psf.gaussian(2.0)),
        ("gaussian:2,9x7", lambda: psf.gaussian(2, (9, 7))),
        ("disk:4", lambda: psf.disk(4)),
        ("box:5", lambda: psf.box(5)),
        ("box:3x2.5", lambda: psf.box((3, 2.5))),
        ("motion:15,30", lambda: psf.motion(15, 30)),
        ("motion:15, angle=-30, size=21", lambda: psf.motion(15, -30, 21)),
        ("Motion:1e1", lambda: psf.motion(10)),
        ("shake:31,7", lambda: psf.camera_shake(31, seed=7)),
        ("shake:size=31x21,seed=7", lambda: psf.camera_shake((31, 21), seed=7)),
    ],
)
def test_a_spec_is_the_call_it_names(text, expected):
    assert torch.equal(psf.parse(text), expected())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("blurry:3", "psf: unknown 'blurry:3', allowed are gaussian:sigma"),
        ("", "psf: unknown ''"),
        ("gaussian", r"psf: 'gaussian' does not read as gaussian:sigma\[,size\]"),
        ("gaussian:1,2,3", "does not read as"),
        ("gaussian:1,width=3", "does not read as"),
        ("gaussian:1,sigma=3", "'sigma' given twice"),
        ("gaussian:wide", "'wide' in 'gaussian:wide' is not a number"),
        ("gaussian:-1", "sigma: expected a positive number, given -1"),
        ("gaussian:nan", "sigma: expected a positive number"),
        ("disk:4,5", r"size: \(5, 5\) is too small, this psf needs at least \(9, 9\)"),
        ("motion:15,inf", "angle: expected degrees"),
        ("shake:0", "size: expected a whole number from 1"),
        ("shake:31.5", "size: expected a whole number from 1"),
        ("shake:31,1.5", "seed: expected an integer, given 1.5"),
        ("box:1x2x3", "width: expected a number or two"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused_in_one_line(text, words):
    with pytest.raises(ValueError, match=words) as caught:
        psf.parse(text)
    assert "\n" not in str(caught.value)


def test_forms_name_every_psf():
    assert "motion:length[,angle,size]" in psf.forms()

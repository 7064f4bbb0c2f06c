"""The heavy ball: as quick as its polynomials, and stopped where these do not hold."""

from __future__ import annotations

import torch

from deconv.restore.heavy_ball import HeavyBall


def roll(eigenvalues: torch.Tensor, error: float, steps: int) -> torch.Tensor:
    """The error after so many steps towards 1, each eigenvalue a pixel, `(C, n)`."""
    goal = torch.ones_like(eigenvalues)[None, :, None]
    latent = goal * (1 + error)
    ball = HeavyBall((-2, -1))
    for _ in range(steps):
        latent = ball.step(latent, latent - eigenvalues[None, :, None] * (latent - goal))
    return (latent - goal)[0, :, 0]


def test_the_error_is_that_of_the_polynomials():
    eigenvalues = torch.logspace(-5, 0, 400).double()[None]
    for steps in (5, 20, 80):
        left = roll(eigenvalues, 0.01, steps).abs() / 0.01
        assert float(left.max()) <= 1
        assert float((left * (1 + steps**2 * eigenvalues)).max()) < 4  # plain steps: 30 at n = 80
    plain = (1 - eigenvalues) ** 80
    assert float((plain * (1 + 80**2 * eigenvalues)).max()) > 25


def test_one_that_overshoots_falls_back_to_plain_steps_and_no_other():
    """An eigenvalue of 1.5 is too much for momentum, not for a step of 6 / 5."""
    both = roll(torch.tensor([[1.5, 1.5], [0.01, 0.01]]).double(), 0.01, 60)
    assert float(both[0].abs().max()) < 1e-3
    alone = roll(torch.tensor([[0.01, 0.01]]).double(), 0.01, 60)
    torch.testing.assert_close(both[1:], alone)


def test_what_is_positive_stays_so():
    ball = HeavyBall((-1,))
    latent = torch.tensor([[[1.0, 2.0, 0.0]]])
    for _ in range(12):
        following = ball.step(latent, latent * torch.tensor([0.01, 1.2, 1.0]))
        assert bool((following[..., :2] > 0).all())
        assert float(following[..., 2]) == 0
        latent = following

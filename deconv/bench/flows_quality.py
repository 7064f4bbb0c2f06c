"""How well the flows fit the same images after the same training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..training import BITS_PER_DIM, Settings, Splits, evaluate, fit
from .flows_models import Backbone, Contestant

__all__ = ["Curve", "learn"]


@dataclass(frozen=True)
class Curve:
    """Likelihood of one flow from one seed, in bits per dimension.

    Attributes
    ----------
    seed : int
        Of the parameters, of the order of the images, and of all noise.
    points : list of tuple
        ``(step, seconds, bits)`` on held-out images along the way.
    bits, error : float
        Mean over the test part at the end, and its standard error.
    """

    name: str
    parameters: int
    seed: int
    points: list[tuple[int, float, float]]
    bits: float
    error: float


def learn(
    flow: Contestant, backbone: Backbone, data: Splits, settings: Settings, *, device: str, progress: Callable
) -> Curve:
    """Train a fresh copy of a flow; for one seed, the same batches, noise and schedule for all."""
    model = backbone.untouched(flow.name, width=flow.width, device=device, seed=settings.seed)
    points: list[tuple[int, float, float]] = []

    def note(row: dict, _) -> None:
        points.append((row["step"], row["seconds"], row["validation"]))
        progress(row)

    fitted = fit(model, data, BITS_PER_DIM, settings, callback=note, progress=False)
    score = evaluate(fitted.model, data.test, BITS_PER_DIM, limit=settings.validation_images, seed=0)
    return Curve(flow.name, flow.parameters, settings.seed, points, score.mean, score.standard_error)

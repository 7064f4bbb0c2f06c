#!/usr/bin/env bash
# pyproximal 0.13.0: for four of its penalties f, `prox(v, t)` is not what minimises f(x) + |x - v|^2 / (2 t), by its own f.
#
# L0 shrinks to zero below t sigma, where the minimum changes places at sqrt(2 t sigma). Huber is quadratic or linear by
# the size of v in place of that of the result, which so falls where v grows, as that of no convex f can. Log1 changes
# the signs of small values, and its value leaves sigma out. The envelope of "at most r0 values that are
# not zero" compares single values with t from t = 1 on, and so may keep none at all, where r0 of them cost nothing.
# L1, L2, Euclidean, HuberCircular, Log, SCAD, ETP, Geman, TV and the envelope of L0 are right.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 typing-extensions==4.16.0 pylops==2.8.0 pyproximal==0.13.0 <<'PY'
import numpy as np
import pyproximal


def objective(penalty, x, v, t):
    return penalty(x) + np.sum((x - v) ** 2) / (2 * t)


class WithSigma(pyproximal.Log1):
    """Its value as its documentation has it."""

    def __call__(self, x):
        return self.sigma * super().__call__(x)


for name, penalty, v, t, given, better in [
    ("L0", pyproximal.L0(1.0), 0.6, 0.5, 0.6, 0.0),
    ("L0", pyproximal.L0(1.0), 3.0, 4.0, 0.0, 3.0),
    ("Huber", pyproximal.Huber(0.5), 0.5, 1.0, 0.5 / 3, 0.5 / 3),
    ("Huber", pyproximal.Huber(0.5), 0.75, 1.0, 0.0, 0.25),
    ("Log1", WithSigma(0.5, 0.3), 0.05, 0.1, -0.05, 0.0),
]:
    v, better = np.array([v]), np.array([better])
    found = penalty.prox(v.copy(), t)
    pair = [objective(penalty, x, v, t) for x in (found, better)]
    print(f"{name}: prox({v[0]:g}, {t:g}) = {found[0]:.4f}, objective {pair[0]:.4f}; at {better[0]:.4f} {pair[1]:.4f}")
    assert np.allclose(found, given, atol=1e-6)
    assert pair[1] < pair[0] - 0.01 or given == better[0]

v = np.array([0.9, 0.8, 0.3, 0.2])
envelope = pyproximal.QuadraticEnvelopeCardIndicator(2)
found, better = envelope.prox(v.copy(), 1.0), np.array([0.9, 0.8, 0, 0])
pair = [objective(envelope, x, v, 1.0) for x in (found, better)]
print(f"envelope of at most 2: prox({v}, 1) = {found}, objective {pair[0]:.3f}; at {better} {pair[1]:.3f}")
assert not found.any() and pair[1] < pair[0] - 0.5

v = np.array([0.7])
assert np.isclose(pyproximal.Log1(0.5, 0.5)(v), pyproximal.Log1(2.0, 0.5)(v))
for right in (pyproximal.L1(0.5), pyproximal.HuberCircular(0.5), pyproximal.SCAD(0.5, 3.7)):
    found = right.prox(v.copy(), 0.5)
    assert objective(right, found, v, 0.5) <= min(objective(right, np.array([x]), v, 0.5) for x in np.linspace(-1, 1, 2001)) + 1e-9
PY

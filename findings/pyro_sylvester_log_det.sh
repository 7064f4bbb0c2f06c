#!/usr/bin/env bash
# Pyro 1.9.2: the log-determinant of `transforms.Sylvester` is not that of its map, and its density does not integrate to 1.
#
# Rows are multiplied from the left: y = x + tanh(x S Q^T + b) Q R, whose Jacobian is I + S Q^T D Q R. What is told is the
# determinant of I + D R S, for which Q would have to stand on the other side of both triangles. With the weights of a
# fresh layer, 1/100 at most, it makes no difference; with weights of 1/2 it does. Planar and Radial are right.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 torch==2.13.0 pyro-ppl==1.9.2 <<'PY'
import torch
from pyro.distributions import transforms as T

D = 6
points = torch.randn(4000, D, dtype=torch.double, generator=torch.Generator().manual_seed(0))
for name, layer in (("Sylvester", T.Sylvester(D, 4)), ("Planar", T.Planar(D)), ("Radial", T.Radial(D))):
    layer = layer.double()
    generator = torch.Generator().manual_seed(1)
    for size in (None, 0.5):
        if size is not None:
            for parameter in layer.parameters():
                parameter.data = size * torch.randn(parameter.shape, dtype=torch.double, generator=generator)
        jacobian = torch.autograd.functional.jacobian(lambda x: layer(x).sum(0), points).movedim(1, 0)
        sign, true = torch.linalg.slogdet(jacobian)
        assert (sign > 0).all()
        told = layer.log_abs_det_jacobian(points, layer(points)).detach()
        error = float((told - true).abs().max())
        mass = float((true - told).exp().mean())  # of the density told, by importance sampling
        state = "fresh" if size is None else "trained"
        print(f"{name}, {state}: log-determinant wrong by {error:.1e} nats at most, density integrates to {mass:.3f}")
        if name == "Sylvester" and state == "trained":
            assert error > 0.2 and mass > 1.02
        else:
            assert error < 1e-4 and abs(mass - 1) < 1e-4
PY

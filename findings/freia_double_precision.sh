#!/usr/bin/env bash
# FrEIA 0.2: `AllInOneBlock(permute_soft=True)` converted by `.double()` is invertible to 1e-7 only, and its log-determinant
# is off by 1e-8, since its rotation is rounded to float32 when it is made.
#
# The matrix is drawn orthogonal in double precision and stored as a float32 parameter; afterwards `.double()` widens the
# rounded numbers, whose transpose is no longer their inverse, and whose determinant is taken to be one. The hard
# permutation (the default) is exact to 1e-15. It shows in likelihoods that are compared to many digits and in finite
# differences, where a model in double precision is expected to agree to 1e-10.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 torch==2.13.0 FrEIA==0.2 <<'PY'
import torch
from FrEIA.modules import AllInOneBlock

torch.manual_seed(0)


def network(inputs, outputs):
    return torch.nn.Sequential(torch.nn.Linear(inputs, 16), torch.nn.Tanh(), torch.nn.Linear(16, outputs))


x = torch.randn(4, 6, dtype=torch.float64)
errors = {}
for soft in (False, True):
    block = AllInOneBlock([(6,)], subnet_constructor=network, permute_soft=soft).double().eval()
    (z,), ladj = block([x])
    (back,), _ = block([z], rev=True)
    jacobian = torch.autograd.functional.jacobian(lambda v: block([v])[0][0], x[:1]).reshape(6, 6)
    errors[soft] = (float((back - x).abs().max()), float((torch.linalg.slogdet(jacobian)[1] - ladj[0]).abs()))
    print(f"permute_soft={soft}: round trip {errors[soft][0]:.0e}, log-determinant off by {errors[soft][1]:.0e}")
assert max(errors[False]) < 1e-13
assert errors[True][0] > 1e-9
PY

#!/usr/bin/env bash
# normflows 1.7.3: `transforms.Shift` shifts the caller's own tensor, so that the likelihood of one batch is another each
# time that it is asked for.
#
# Its forward and its inverse add to what they are given in place and return it. A model that takes [0, 1] images to
# [-1/2, 1/2] by it moves the batch itself: a second epoch over a data set that is held in memory, or a likelihood measured
# twice, sees other data. `transforms.Logit` leaves its input as it is.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 torch==2.13.0 normflows==1.7.3 <<'PY'
import torch
import normflows as nf

torch.manual_seed(0)
base = nf.distributions.DiagGaussian((1, 4, 4), trainable=False)
changed = {}
for name, transform in (("Shift", nf.transforms.Shift(-0.5)), ("Logit", nf.transforms.Logit(0.05))):
    model = nf.NormalizingFlow(base, [transform])
    images = torch.rand(8, 1, 4, 4)
    given = images.clone()
    likelihoods = [float(model.log_prob(images).mean()) for _ in range(3)]
    changed[name] = float((images - given).abs().max())
    print(f"{name}: mean log-likelihood three times {[round(each, 2) for each in likelihoods]}, images moved by {changed[name]:.1f}")
    assert (max(likelihoods) - min(likelihoods) > 1) == (name == "Shift")
assert changed["Logit"] == 0
assert abs(changed["Shift"] - 1.5) < 1e-5
PY

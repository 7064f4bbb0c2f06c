"""Run configurations with a name, tried and found good: a new one is one more row."""

from __future__ import annotations

from .run_config import RunConfig
from .settings import Settings

__all__ = ["RECIPES"]

RECIPES: dict[str, RunConfig] = {
    # A minute or two on two cores: natural patches, for trying things out.
    "patches": RunConfig(
        model={"name": "inverse", "levels": 2, "steps": 4, "kernel_size": 3, "width": 32},
        data="patches",
        settings=Settings(steps=1500, batch_size=64, augmentation="dihedral", validate_every=250),
    ),
    # Seven minutes of one core that knows bfloat16 for 1.144 bits/dim on the test part. A rate that rises faster lets
    # the couplings' scales of all steps grow together for an unusual image: at 100 steps of warm-up, 2e7 bits/dim.
    "mnist": RunConfig(
        model={
            "name": "inverse",
            "levels": 2,
            "steps": 6,
            "kernel_size": 3,
            "width": 128,
            "preprocessing": "gaussianise",
        },
        data="mnist",
        settings=Settings(
            steps=2500,
            batch_size=64,
            learning_rate=4e-3,
            warmup=400,
            average=0.998,
            precision="auto",
            validate_every=250,
            validation_images=1000,
        ),
    ),
    # Likelihoods like for like with the papers' tables: their depth, affine couplings, grey levels with uniform noise
    # through the logit, normal latents. An alpha of 0.05 would crowd the black pixels together: 2.27 bits/dim after 120
    # steps, not 1.60.
    "mnist-paper": RunConfig(
        model={
            "name": "inverse",
            "levels": 2,
            "steps": 16,
            "kernel_size": 3,
            "width": 32,
            "preprocessing": "logit",
            "logit_alpha": 1e-6,
        },
        data="mnist",
        settings=Settings(
            steps=4000,
            batch_size=64,
            learning_rate=4e-3,
            warmup=100,
            average=0.998,
            validate_every=250,
            validation_images=1000,
        ),
    ),
    # The prior of photographs that comes with the package, in an hour and a half of one core; give --root a folder of
    # photographs.
    "prior": RunConfig(
        family="prior",
        data="crops",
        options={"size": 64},
        settings=Settings(
            steps=11000,
            batch_size=8,
            learning_rate=1.5e-3,
            betas=(0.9, 0.99),
            clip=1.0,
            average=0.998,
            augmentation="dihedral",
            validate_every=500,
            validation_images=200,
        ),
    ),
    # The network of `deconv.restore.network`, in an hour and a half of one core; give --root a folder of photographs.
    "network": RunConfig(
        family="network",
        data="crops",
        options={"size": 160},
        settings=Settings(
            steps=4000,
            batch_size=8,
            learning_rate=2e-3,
            betas=(0.9, 0.99),
            clip=20.0,
            average=0.995,
            augmentation="dihedral",
            validate_every=200,
            validation_images=64,
        ),
    ),
}

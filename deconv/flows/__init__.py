"""Normalizing flows: layers, multi-scale models, likelihood."""

from .actnorm import ActNorm
from .base import StandardNormal
from .build import FLOWS, InverseFlow, build_flow
from .contract import Flow, Inverse, Sequential
from .coupling import AffineCoupling, SplitPrior
from .dequantisation import UniformDequantisation
from .inverse_unit import InverseUnit
from .likelihood import bits_per_dim
from .model import FlowModel
from .one_by_one import OneByOne
from .preprocess import Centre, Logit
from .squeeze import Squeeze

__all__ = [
    "FLOWS",
    "ActNorm",
    "AffineCoupling",
    "Centre",
    "Flow",
    "FlowModel",
    "Inverse",
    "InverseFlow",
    "InverseUnit",
    "Logit",
    "OneByOne",
    "Sequential",
    "SplitPrior",
    "Squeeze",
    "StandardNormal",
    "UniformDequantisation",
    "bits_per_dim",
    "build_flow",
]

"""Normalizing flows: layers, multi-scale models, likelihood."""

from .actnorm import ActNorm
from .base import Logistic, StandardNormal
from .build import InverseFlow, build_flow
from .butterfly import ButterflyLayer
from .cinc import CIncConvolution
from .coupling import AffineCoupling, SplitPrior
from .data_dependent import DataDependent
from .dequantisation import UniformDequantisation
from .emerging import EmergingConvolution
from .finc import FIncUnit
from .gaussianise import Gaussianise
from .inverse_unit import InverseUnit
from .layer import Flow, Inverse, Sequential
from .likelihood import bits_per_dim
from .macow import MaCowUnit, MaskedAffine
from .mintnet import MintNetLayer, MintNetUnit
from .model import FlowModel
from .one_by_one import OneByOne
from .periodic import PeriodicConvolution
from .preprocess import Centre, Logit
from .self_normalizing import SelfNormalizingConvolution
from .spline import SplineCoupling, rational_quadratic_spline
from .squeeze import Squeeze
from .table import FLOWS, FlowLayer
from .variational import VariationalDequantisation
from .woodbury import MemoryEfficientWoodbury, Woodbury

__all__ = [
    "FLOWS",
    "ActNorm",
    "AffineCoupling",
    "ButterflyLayer",
    "CIncConvolution",
    "Centre",
    "DataDependent",
    "EmergingConvolution",
    "FIncUnit",
    "Flow",
    "FlowLayer",
    "FlowModel",
    "Gaussianise",
    "Inverse",
    "InverseFlow",
    "InverseUnit",
    "Logistic",
    "Logit",
    "MaCowUnit",
    "MaskedAffine",
    "MemoryEfficientWoodbury",
    "MintNetLayer",
    "MintNetUnit",
    "OneByOne",
    "PeriodicConvolution",
    "SelfNormalizingConvolution",
    "Sequential",
    "SplineCoupling",
    "SplitPrior",
    "Squeeze",
    "StandardNormal",
    "UniformDequantisation",
    "VariationalDequantisation",
    "Woodbury",
    "bits_per_dim",
    "build_flow",
    "rational_quadratic_spline",
]

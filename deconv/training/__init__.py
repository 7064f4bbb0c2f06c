"""Training: data sets, the loop, checkpoints, and what is done with a trained model."""

from .data import Batch, DatasetImages, Splits, StoredImages, load_data, split_dataset
from .evaluation import Score, evaluate
from .export import export_sampler
from .families import BITS_PER_DIM, draw
from .loop import Fitted, fit
from .models import load_model
from .objective import Objective
from .recipes import RECIPES
from .run import train
from .run_config import RunConfig
from .settings import Settings

__all__ = [
    "BITS_PER_DIM",
    "RECIPES",
    "Batch",
    "DatasetImages",
    "Fitted",
    "Objective",
    "RunConfig",
    "Score",
    "Settings",
    "Splits",
    "StoredImages",
    "draw",
    "evaluate",
    "export_sampler",
    "fit",
    "load_data",
    "load_model",
    "split_dataset",
    "train",
]

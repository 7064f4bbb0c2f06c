"""Raw solvers: tensors in, tensor out, no autograd. The public functions are in `deconv.ops`."""

from .registry import SOLVERS, Solver, choose, solve, weight_gradient

__all__ = ["SOLVERS", "Solver", "choose", "solve", "weight_gradient"]

"""What one would reach for instead: the operator as an explicit triangular matrix, dense or sparse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

import deconv

from .operations import Operands
from .shapes import SolveCase

__all__ = ["general_solvers", "triangular_matrix"]

_DENSE_LIMIT = 4096  # unknowns: a matrix of 64 MB
_SPARSE_LIMIT = 4_000_000  # entries
_AGREEMENT = 1e-3  # with the solver: they are float32 too


def triangular_matrix(operands: Operands):
    """The operator as a sparse unit triangular matrix (`scipy.sparse.csr_array`), its rows divided by the anchor.

    Unknowns in the order (row, column, channel). Dividing by the anchor matrix is what makes it triangular.
    """
    from scipy.sparse import coo_array

    case = operands.case
    channels, height, width = case.channels, case.height, case.width
    left, _, top, _ = case.padding
    weight = operands.weight.double().cpu().numpy()
    taps = np.tensordot(np.linalg.inv(weight[:, :, -1, left]), weight, 1)
    taps[:, :, -1, left] = np.eye(channels)
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    entries = []
    for i in range(case.kernel_height):
        for j in range(case.kernel_width):
            seen_row, seen_column = rows + i - top, columns + j - left
            inside = (seen_row >= 0) & (seen_column >= 0) & (seen_column < width)
            pixel = (rows * width + columns)[inside]
            seen = (seen_row * width + seen_column)[inside]
            for out, into in zip(*np.nonzero(taps[:, :, i, j]), strict=True):
                value = np.full(pixel.shape, taps[out, into, i, j])
                entries.append((value, pixel * channels + out, seen * channels + into))
    values, equations, unknowns = (np.concatenate(part) for part in zip(*entries, strict=True))
    size = channels * height * width
    return coo_array((values, (equations, unknowns)), shape=(size, size)).tocsr()


def general_solvers(operands: Operands) -> dict[str, Callable[[], object]]:
    """The rivals that fit into memory, as functions without arguments; building the matrix is not on the clock.

    Each has been compared with our solution: one that disagrees is an error, not a rival.
    """
    case = operands.case
    if _entries(case) > _SPARSE_LIMIT:
        return {}
    from scipy.sparse.linalg import spsolve_triangular

    matrix = triangular_matrix(operands)
    left = case.padding[0]
    divided = torch.linalg.solve(operands.weight[:, :, -1, left].double(), operands.images.double().flatten(2))
    # (batch, channel, pixel) -> (pixel, channel) x batch
    data = divided.permute(2, 1, 0).reshape(-1, case.batch).contiguous()

    rivals: dict[str, Callable[[], object]] = {}
    single, sparse = data.float(), matrix.astype(np.float32)
    array = single.cpu().numpy()
    rivals["scipy.sparse.linalg.spsolve_triangular"] = lambda: spsolve_triangular(
        sparse, array, lower=True, unit_diagonal=True
    )
    if data.shape[0] <= _DENSE_LIMIT:
        dense = torch.from_numpy(matrix.toarray()).to(single)
        rivals["torch.linalg.solve_triangular"] = lambda: torch.linalg.solve_triangular(
            dense, single, upper=False, unitriangular=True
        )

    ours = deconv.inverse_conv2d(operands.images, operands.weight, support=case.support)
    ours = ours.flatten(2).permute(2, 1, 0).reshape(-1, case.batch)
    for name, rival in rivals.items():
        theirs = torch.as_tensor(rival()).to(ours)
        error = float((theirs - ours).abs().max() / ours.abs().max())
        if not error < _AGREEMENT:
            raise RuntimeError(f"{name} differs by {error:.2g} from deconv.inverse_conv2d on {case}")
    return rivals


def _entries(case: SolveCase) -> int:
    taps = case.channels * case.kernel_height * case.kernel_width
    return case.channels * case.height * case.width * taps

"""Variances of an output layer's outputs under a Gaussian posterior, by the equations that are fewest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from metatl.types import MetatlError

Form = Literal["auto", "full", "kronecker"]
"""How the covariance is made (`of_classes`)."""
MOST = 6000
"""Unknowns of exact equations, at most: a matrix of 288 MB."""
USUAL = 500
"""Unknowns up to which the exact equations are solved unasked: a matrix of 2 MB, for every task at once."""


class LayerCovariance(NamedTuple):
    """What gives v_c(f) = f^T [H^-1]_cc f, H = sum_i w_i L_i (x) f_i f_i^T + p I, w_i L_i = R_i R_i^T [c, c].

    By rows: rows [n, d + 1]; factor [n c, n c] of the matrix in Woodbury's identity; root [n, c, c].
    By numbers: rows [0, d + 1]; factor [c, d + 1, d + 1]: G_c G_c^T = [H^-1]_cc; root [0, c, c].
    Kronecker: rows [r, d + 1], eigenvectors of A; factor [r, c], their shares of a variance; root [0, c, c].
    """

    rows: Tensor
    factor: Tensor
    root: Tensor


OfPrecision = Callable[[float], LayerCovariance]
"""The covariance under a prior of this precision; what does not depend on it is computed once."""


def of_classes(form: Form, rows: Tensor, root: Tensor, weight: Tensor) -> OfPrecision:
    """By the equations that are fewer, or by Kronecker factors where both are many.

    rows: [n, d + 1]; root: R_i [n, c, c]; weight: w [n]. `full` raises MetatlError beyond 6,000 equations.
    """
    each, own = root.shape[0] * root.shape[1], root.shape[1] * rows.shape[1]
    if form == "kronecker" or (form == "auto" and min(each, own) > USUAL):
        return kronecker(rows, root, weight)
    if min(each, own) > MOST:
        raise MetatlError(
            f"Laplace: {len(rows)} rows of {root.shape[1]} classes are {each} equations, and the layer's "
            f"numbers {own}; {MOST} at most (covariance: kronecker needs none)"
        )
    return (by_rows if each <= own else by_numbers)(rows, root)


def by_rows(rows: Tensor, root: Tensor) -> OfPrecision:
    """Exact, rows [n, d], root [n, c, m], n c unknowns: v_c = (|f|^2 - g K^-1 g^T) / p, K = J J^T + p I."""
    size = root.shape[0] * root.shape[1]
    cross = torch.einsum("icm,jcl,ij->imjl", root, root, rows @ rows.mT).reshape(size, size)
    return lambda precision: LayerCovariance(rows, factor_of(cross, precision), root)


def by_numbers(rows: Tensor, root: Tensor) -> OfPrecision:
    """Exact, rows [n, d], c d unknowns, of whose inverse the classes' own blocks [c, d, d] are kept."""
    classes, width = root.shape[1], rows.shape[1]
    each = root @ root.mT
    parts = [[rows.mT @ (rows * each[:, c, k, None]) for k in range(classes)] for c in range(classes)]
    whole = torch.cat([torch.cat(line, 1) for line in parts])

    def under(precision: float) -> LayerCovariance:
        inverse = torch.cholesky_inverse(factor_of(whole, precision)).reshape(classes, width, classes, width)
        blocks = torch.stack([inverse[c, :, c] for c in range(classes)])
        return LayerCovariance(rows[:0], torch.linalg.cholesky_ex(blocks)[0], root[:0])

    return under


def kronecker(rows: Tensor, root: Tensor, weight: Tensor) -> OfPrecision:
    """H ~ B (x) A + p I: A [d, d] = sum_i w_i f_i f_i^T, B [c, c] = sum_i w_i L_i / sum_i w_i.

    H itself where all rows have one L_i; O(n d min(n, d) + c^3), and r = min(n, d + 1) vectors are kept.
    Source: Martens & Grosse 2015, arXiv 1503.05671; Daxberger et al. 2021, without damping.
    """
    scaled = rows * weight.sqrt()[:, None]
    scaled = torch.where(scaled.isfinite(), scaled, 0.0)  # what diverged has outputs that are not finite
    sums = (root @ root.mT).sum(0) / weight.sum()
    size, vectors = torch.linalg.svd(scaled, full_matrices=False)[1:]
    values, turn = torch.linalg.eigh(torch.where(sums.isfinite(), sums, 0.0))
    lengths, along = size.square()[:, None] * values.clamp_min(0.0), turn.square().mT
    return lambda precision: LayerCovariance(vectors, (1 / (lengths + precision)) @ along, root[:0])


def variance(found: LayerCovariance, new: Tensor, precision: float) -> Tensor:
    """v [q, c] of the outputs for features [q, d + 1]."""
    rows, factor, root = found
    if factor.dim() == 3:
        return torch.einsum("qd,cde->qce", new, factor).square().sum(-1)
    if len(root):
        g = torch.einsum("qi,icm->qcim", new @ rows.mT, root).flatten(-2)
        return explained(new[:, None], g, factor, precision)
    along = (new @ rows.mT).square()
    rest = (new.square().sum(-1, keepdim=True) - along.sum(-1, keepdim=True)).clamp_min(0.0)
    return along @ factor + rest / precision


def explained(new: Tensor, g: Tensor, factor: Tensor, precision: float) -> Tensor:
    """(|f|^2 - g K^-1 g^T) / precision: features f [..., d + 1], g [..., equations]."""
    flat = g.reshape(-1, g.shape[-1])
    solved = torch.linalg.solve_triangular(factor, flat.mT, upper=False)
    told = solved.square().sum(0).reshape(g.shape[:-1])
    return (new.square().sum(-1) - told).clamp_min(0.0) / precision


def factor_of(products: Tensor, precision: float) -> Tensor:
    """The lower Cholesky factor of products [n, n] + precision I."""
    eye = torch.eye(len(products), dtype=products.dtype, device=products.device)
    return torch.linalg.cholesky_ex(products + precision * eye)[0]

"""Linear equations whose matrix is symmetric and positive definite."""

from __future__ import annotations

import torch
from torch import Tensor


def solve(matrix: Tensor, target: Tensor) -> Tensor:
    """A^-1 B by Cholesky, [..., n, k] or [n]; A: [..., n, n], symmetric and positive definite.

    Where rounding leaves A without a factor, with n eps times its mean eigenvalue added to its diagonal; NaN
    where that has none either, as where A holds NaN. Rows of a batch do not see each other.

    Not by LU (`torch.linalg.solve`, `inv`): of a batch of matrices larger than about 150 x 150, on a CPU with
    two threads or more, that hangs or gives wrong numbers (pytorch issue 142815; torch 2.5 to 2.13).
    """
    size = matrix.shape[-1]
    eye = torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    with torch.no_grad():
        _, failed = torch.linalg.cholesky_ex(matrix)
        scale = matrix.diagonal(dim1=-2, dim2=-1).mean(-1)
        more = torch.where(failed > 0, size * torch.finfo(matrix.dtype).eps * scale, 0.0)
    factor, failed = torch.linalg.cholesky_ex(matrix + more[..., None, None] * eye)
    columns = target.unsqueeze(-1) if target.dim() == 1 else target
    found = torch.cholesky_solve(columns, factor)
    found = torch.where((failed > 0)[..., None, None], torch.nan, found)
    return found.squeeze(-1) if target.dim() == 1 else found

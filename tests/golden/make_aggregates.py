"""Write aggregates.json: what torchjd makes of gradients, which `tests/laws/test_aggregates_exact.py` reads.

    python tests/golden/make_aggregates.py      (with torchjd, cvxpy, clarabel, quadprog and ecos installed)

MGDA takes Frank-Wolfe steps there, which reach 1e-8 where its cases lie; CAGrad's and Nash-MTL's solvers stop
at about 1e-5 of the direction.
"""

import json
from pathlib import Path

import torch
from torchjd import aggregation

K = {"two": (2, 5, 0), "three": (3, 8, 2), "dependent": (5, 3, 0), "ten": (10, 40, 0)}
MADE = {
    "MGDA": lambda k: aggregation.MGDA(1e-300, 100_000),
    "CAGrad": lambda k: aggregation.CAGrad(0.4),
    "IMTLG": lambda k: aggregation.IMTLG(),
    "AlignedMTL": lambda k: aggregation.AlignedMTL(),
    "UPGrad": lambda k: aggregation.UPGrad(),
    "NashMTL": lambda k: aggregation.NashMTL(k, 0.0, 1, 200),
}

if __name__ == "__main__":
    found = {}
    for case, (k, size, seed) in K.items():
        gradients = torch.randn(k, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        found[case] = {"gradients": gradients.tolist()}
        found[case] |= {name: made(k)(gradients).tolist() for name, made in MADE.items()}
    place = Path(__file__).parent / "aggregates.json"
    place.write_text(json.dumps(found) + "\n", encoding="utf-8")

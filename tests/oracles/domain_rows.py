"""Rows of two domains that are the same numbers everywhere, and what skada makes of them.

`python tests/oracles/domain_rows.py` writes skada.json anew (pip install skada==0.6.0 POT scikit-learn).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "skada.json"
ROWS, GAMMA, MOST, MU = 25, 0.5, 5.0, 0.1


def rows(seed: int, shift: float, scale: list[float]) -> Any:
    """[ROWS, 3] of roughly normal numbers, by arithmetic alone."""
    at = np.arange(ROWS * 3, dtype=np.float64) + 1000 * seed
    u, v = (
        np.modf(np.abs(np.sin(a * at + b) * 43758.5453))[0] for a, b in ((12.9898, 78.233), (39.346, 11.1))
    )
    normal = np.sqrt(-2 * np.log(u + 1e-9)) * np.cos(2 * np.pi * v)
    return normal.reshape(ROWS, 3) * scale + shift


def domains() -> tuple[Any, Any]:
    """Source and target."""
    return rows(1, 0.0, [1.0, 2.0, 0.5]), rows(2, 0.5, [0.7, 1.0, 1.5])


def main() -> None:
    from skada import (  # pyright: ignore[reportMissingImports]
        CORALAdapter,
        KLIEPReweightAdapter,
        KMMReweightAdapter,
        SubspaceAlignmentAdapter,
        TransferComponentAnalysisAdapter,
    )

    x, domain = np.concatenate(domains()), np.repeat([1, -2], ROWS)

    def moved(adapter: Any) -> Any:
        found = adapter.fit_transform(x, None, sample_domain=domain)
        return np.asarray(found[0] if isinstance(found, tuple) else found)

    def weights(adapter: Any) -> Any:
        return np.asarray(adapter.fit(x, None, sample_domain=domain).compute_weights(x, sample_domain=domain))

    kliep = KLIEPReweightAdapter(GAMMA, random_state=0).fit(x, None, sample_domain=domain)
    found = {
        "coral": moved(CORALAdapter(reg=None))[:ROWS],
        "subspace": moved(SubspaceAlignmentAdapter(n_components=2)),
        "kmm": weights(KMMReweightAdapter(gamma=GAMMA, B=MOST))[:ROWS],
        "tca": TransferComponentAnalysisAdapter("rbf", 2, MU).fit(x, None, sample_domain=domain).eigvects_,
        "kliep": kliep.alpha_,
        "kliep_centres": kliep.centers_,
    }
    FILE.write_text(json.dumps({name: np.round(one, 9).tolist() for name, one in found.items()}) + "\n")


if __name__ == "__main__":
    main()

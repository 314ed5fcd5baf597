"""The table of fish_density.py that README shows."""

from __future__ import annotations

from typing import Any

from metatl.lab.render.tables import plus_minus

MASKS = {
    "fish-support": "FISH, the task's support set",
    "fish-support-true": "the same, true Fisher",
    "fish-source": "FISH, source data",
    "fish-source-true": "the same, true Fisher",
    "magnitude": "largest weights",
    "random": "random weights",
}


def density(report: dict[str, Any]) -> str:
    """Accuracy by mask and density, and the bytes of the stored model."""
    by = {(point["mask"], point["density"]): point for point in report["points"]}
    shares = sorted({share for mask, share in by if mask == "fish-support"})
    none, plain, protocol = by["head-only", 0.0], by["fine-tune", 1.0], report["protocol"]
    about = (
        f"{protocol['data']}, {protocol['way']}-way {protocol['shot']}-shot: accuracy in % by the share of "
        f"the body's {report['body']:,} weights that moves; the output layer alone "
        f"{none['accuracy']:.1f}, all weights {plain['accuracy']:.1f}."
    )
    lines = [
        about,
        "",
        f"| which weights | {' | '.join(f'{100 * share:g} %' for share in shares)} |",
        f"|---|{'--:|' * len(shares)}",
    ]
    for mask, name in MASKS.items():
        cells = [plus_minus(by[mask, share]["accuracy"], by[mask, share]["ci95"], 1) for share in shares]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    stored = [by["fish-support", share]["delta"]["exact_bytes"] for share in shares]
    lines.append(f"| stored, bytes | {' | '.join(f'{size:,.0f}' for size in stored)} |")
    deltas = [by["fish-support", share]["delta"] for share in shares]
    kinds = {"bytes a changed number": ("weights", "moments"), "bytes a changed weight": ("weights",)}
    for name, counted in kinds.items():
        cells = [f"{own['exact_bytes'] / sum(own[kind] for kind in counted):.1f}" for own in deltas]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    moments = deltas[0]["moments"]
    lines += [
        "",
        f"Changed numbers: weights, and {moments:,.0f} moments of batch norms, which a delta holds too.",
    ]
    return "\n".join(lines)

"""Puts a run of configs/in-context/little-pfn.yaml into the package: its weights, and a card.

    metatl run configs/in-context/little-pfn.yaml
    python scripts/little_pfn.py runs/little-pfn/<digest>-s0

Writes metatl/weights/shipped_nets/little-pfn.safetensors and .json.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import study
from safetensors.torch import save

from metatl.lab import config, store
from metatl.types import Params
from metatl.weights.shipped import FOLDER

MODEL = ("width", "layers", "heads", "standardise")
LIMITS = (
    "An approximation of the posterior predictive under random small tables, from half an hour of one core. "
    "It was trained on 0 to 100 rows; with more, and on laws unlike its prior's, other methods are better. "
    "Its probabilities are not calibrated on real tables. results/tables says where it is beaten."
)


def main() -> None:
    """Read the run, write both files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", help="run directory of configs/in-context/little-pfn.yaml")
    folder = Path(parser.parse_args().run)
    params, step = learned(folder)
    store.write_json(FOLDER / "little-pfn.json", card(folder, params, step))
    tensors = {name: leaf.contiguous() for name, leaf in params.items()}
    store.write_atomic(FOLDER / "little-pfn.safetensors", save(tensors, {"format": "pt"}))


def learned(folder: Path) -> tuple[Params, int]:
    """The weights, and the step that they are of: the last checkpoint's where the run is not finished."""
    if (folder / "transfer.safetensors").is_file():
        made = config.load(folder / "config.yaml")
        return store.load_transfer(folder / "transfer.safetensors").params, made.learner.steps
    state, _ = store.load_checkpoint(folder / "last.ckpt")
    return state.transfer.params, int(state.step)


def card(folder: Path, params: Params, step: int) -> dict[str, Any]:
    """What the net is, of what it learned, and what it is no good for."""
    made = config.describe(config.load(folder / "config.yaml"))
    model, learner = made["model"]["init_args"], made["learner"]["init_args"]
    return {
        "about": "reads the labelled rows of a small table and gives probabilities of classes for other rows",
        "columns": params["x.weight"].shape[1],
        "classes": params["y.weight"].shape[1],
        "model": {name: model[name] for name in MODEL},
        "weights": sum(leaf.numel() for leaf in params.values()),
        "prior": made["data"],
        "trained": {
            "step": step,
            "of_steps": learner["steps"],
            "tasks_a_step": learner["meta_batch"],
            "rows": "0 to 100",
        },
        "command": "metatl run configs/in-context/little-pfn.yaml",
        "run": folder.name,
        "limits": LIMITS,
        "licence": "as the package",
    }


if __name__ == "__main__":
    study.command(main)

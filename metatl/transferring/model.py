"""A fitted model as a folder: safetensors and JSON, opened in a fresh process without the training data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from metatl import tree
from metatl.adapt import check_outputs
from metatl.additions import attached
from metatl.data.examples import Reader
from metatl.data.targets import Kind
from metatl.lab import store
from metatl.lab.describe import describe
from metatl.lab.store.tensors import write_tensors
from metatl.norm import Rows, moments_from
from metatl.transferring.backbone import Backbone
from metatl.transferring.features import BATCH, passed
from metatl.transferring.fit import Model
from metatl.transferring.judging import Scale
from metatl.transferring.kinds import (
    addition_values,
    preparation_values,
    reader_values,
)
from metatl.transferring.readout import Readout, readout_of
from metatl.types import MetatlError

VERSION = 2
WEIGHTS, FACTS = "weights.safetensors", "model.json"
SEP = "::"


class Transferred(nn.Module):
    """A plain module: prepared rows [n, ...] -> outputs [n, outputs].

    Classes: softmax gives probabilities; several labels: the sigmoid; real values are in their own units.
    """

    def __init__(self, body: nn.Module, readout: Readout, scale: Scale) -> None:
        super().__init__()
        self.body, self.readout = body, readout
        self.register_buffer("mean", scale.mean)
        self.register_buffer("deviation", scale.deviation)
        self.eval()

    def forward(self, x: Any) -> Tensor:
        """Outputs [n, outputs] for prepared rows; none depends on the others."""
        with moments_from(Rows(frozen=True)):
            outputs = self.readout(passed(self.body, x))
        return outputs * self.get_buffer("deviation") + self.get_buffer("mean")

    def spread(self, x: Any) -> Tensor:
        """Variances [n, outputs] of real targets in their units squared; MetatlError for none."""
        with moments_from(Rows(frozen=True)):
            return self.readout.spread(passed(self.body, x)) * self.get_buffer("deviation") ** 2


@dataclass(frozen=True)
class SavedModel:
    """A module with what it needs around it.

    kind, names: of the targets; reader: how rows are read from files; preparation: a row -> the net's input;
    recipe, head: of the architecture; made: how it came about, as plain values.
    """

    module: Transferred
    kind: Kind
    names: tuple[str, ...]
    reader: Reader
    preparation: Any
    recipe: Mapping[str, Any]
    head: str
    made: Mapping[str, Any]

    @property
    def id_name(self) -> str:
        """Of the column that names the rows of a prediction."""
        return self.reader.id_name

    def probabilities(self, x: Any) -> Tensor:
        """[n, outputs] for prepared rows; MetatlError where an output is not finite."""
        found = self.outputs(x)
        check_outputs(found, self.reader.unit)
        return self.shares(found)

    def shares(self, outputs: Tensor) -> Tensor:
        """Probabilities of outputs [n, outputs]: of classes together, of several labels each for itself."""
        return outputs.softmax(-1) if self.kind == "classes" else outputs.sigmoid()

    @property
    def spreads(self) -> bool:
        """Whether it says how far real targets may lie from its outputs."""
        return self.kind == "real" and self.module.readout.adaptation.spreads

    @property
    def deviations(self) -> list[float]:
        """Of the real targets that it was fitted to, in their own units; of others 1."""
        return self.module.get_buffer("deviation").expand(len(self.names)).tolist()

    def outputs(self, x: Any) -> Tensor:
        """[n, outputs] for prepared rows [n, ...], as they come."""
        return self._told(self.module, x)

    def spread(self, x: Any) -> Tensor:
        """Variances [n, outputs] of real targets around the outputs."""
        return self._told(self.module.spread, x)

    def _told(self, call: Callable[[Any], Tensor], x: Any) -> Tensor:
        with torch.no_grad():
            parts = [call(tree.at(x, slice(i, i + BATCH))) for i in range(0, tree.rows(x), BATCH)]
        return torch.cat(parts) if parts else torch.zeros(0, len(self.names))

    def save(self, folder: str | Path) -> None:
        """Write `weights.safetensors` and `model.json`."""
        folder, readout = Path(folder), self.module.readout
        tensors = {f"body{SEP}{name}": leaf for name, leaf in self.module.body.state_dict().items()}
        leaves, nesting = tree.flatten(readout.fitted)
        tensors |= {f"readout{SEP}{i}": leaf for i, leaf in enumerate(leaves)}
        _check_layout(readout, nesting)
        preparation, held = preparation_values(self.preparation)
        tensors |= {f"preparation{SEP}{name}": leaf for name, leaf in held.items()}
        tensors |= {f"scale{SEP}{name}": self.module.get_buffer(name) for name in ("mean", "deviation")}
        store.make_folder(folder)
        write_tensors(folder / WEIGHTS, "model", tensors, {})
        adaptation = describe(readout.adaptation.saved)
        layer = {"adaptation": adaptation, "width": readout.width, "tensors": len(leaves)}
        values: dict[str, Any] = {
            "version": VERSION,
            "targets": self.kind,
            "classes": list(self.names),
            "reader": reader_values(self.reader),
            "preparation": preparation,
            "net": dict(self.recipe),
            "kept": store.keep(self.recipe.get("arguments"), folder),
            "head": self.head,
            "readout": layer,
            "made": dict(self.made),
        }
        if own := attached(self.module.body):
            values["additions"] = addition_values(own)
        store.write_json(folder / FACTS, values)


def saved_model(
    net: Backbone,
    fitted: Model,
    scale: Scale,
    told: tuple[Kind, tuple[str, ...], Reader],
    made: Mapping[str, Any],
) -> SavedModel:
    """A fitted row with what it needs around it; a body that did not move is the backbone's.

    told: kind and names of the targets, and how rows are read.
    """
    body = fitted.body if fitted.body is not None else net.body()
    module = Transferred(body, fitted.readout, scale)
    return SavedModel(module, *told, net.preparation, net.recipe, net.head, made)


def _check_layout(readout: Readout, nesting: tree.Nesting) -> None:
    """What a reader makes of the tensors must be what was fitted."""
    leaves, _ = tree.flatten(readout.fitted)
    again = readout_of(describe(readout.adaptation.saved), readout.width, readout.outputs, leaves)
    if again.nesting != nesting:
        raise MetatlError(f"a model of {type(readout.adaptation).__name__} cannot be kept in a file")

"""The net of an experiment: built, and tried on examples before any work."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from metatl import tree
from metatl.adapt import Adaptation
from metatl.data.source import Data, Tasks
from metatl.engines.engine import task
from metatl.lab import store
from metatl.lab.experiment import Experiment
from metatl.net import Net
from metatl.types import MetatlError, Transfer


def build(experiment: Experiment, data: Data, outputs: int) -> tuple[Net, Transfer]:
    """The experiment's net and the weights that it starts from, once a pass over examples has succeeded.

    Whatever a model raises as it is built or passed through is one MetatlError that names the shape of the
    examples.
    """
    x, _ = _given(experiment, data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        module = _module(experiment, data, outputs).to(experiment.device)
        try:
            net = Net.of(module, experiment.head, example=x)
        except MetatlError as error:
            raise MetatlError(
                f"the model cannot be used on examples of shape {data.shape}: {error}"
            ) from error
        except Exception as error:  # hooks and layers of somebody's own raise anything
            raise MetatlError(
                f"the model cannot be used on examples of shape {data.shape}: {_said(error)}"
            ) from error
        transfer = net.start()
    passed(net, transfer, experiment, data)
    return net, transfer


def rebuilt(experiment: Experiment, data: Data, outputs: int, folder: Path | None) -> tuple[Net, Transfer]:
    """`build`; of a run directory with as many rows of the output layer as the file of what was learned.

    That layer may be the start's, which needs not be there any more.
    """
    net, first = build(experiment, data, outputs)
    if folder is None or net.head is None:
        return net, first
    rows = store.rows_of(folder / "transfer.safetensors", net.head_weight)
    return (net, first) if rows in (None, net.rows(first.params)) else build(experiment, data, rows)


def _module(experiment: Experiment, data: Data, outputs: int) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers without weights, which are refused below
            module = experiment.model(data.shape, outputs)
    except (MetatlError, MemoryError):
        raise
    except Exception as error:  # a class of somebody's own raises anything
        raise MetatlError(
            f"the model cannot be built for examples of shape {data.shape}: {_said(error)}; "
            "mend its init_args"
        ) from error
    if not isinstance(module, nn.Module):
        raise MetatlError(f"the model is a {type(module).__name__}; name a class of torch modules")
    for name, leaf in module.named_parameters():
        if not isinstance(leaf, nn.UninitializedParameter) and not leaf.numel():
            raise MetatlError(
                f"the model's weight {name!r} has no entries; give its layers a width of 1 or more"
            )
    return module


def _given(experiment: Experiment, data: Data) -> tuple[Any, int]:
    """What passes of the run are given, for a few examples, and the number of outputs that they give.

    Learners give a net examples alone, but for one that learns through a way which gives support rows too;
    where nothing is learned, the adaptation may.
    """
    device, tasks = experiment.device, experiment.evaluation.tasks
    x = examples(data, tasks, device)
    learner = experiment.learner
    way = getattr(learner, "adaptation", None) if learner.steps else experiment.adaptation
    if not isinstance(way, Adaptation) or not way.reads_support:
        return x, tree.rows(x)
    support = task(data.draw("meta_test", tasks, 0, 0, 1), 0).support
    return way.given(support, x), tree.rows(x)


def examples(data: Data, tasks: Tasks, device: str) -> Any:
    """A few examples [n, *shape]: of meta_train, of meta_test where there is no meta_train."""
    try:
        x = data.batch("meta_train", 2, 0, 0).x
    except (MetatlError, LookupError):
        x = tree.at(task(data.draw("meta_test", tasks, 0, 0, 1), 0).support.x, slice(0, 2))
    return tree.apply(lambda leaf: leaf.to(device), x)


def passed(net: Net, transfer: Transfer, experiment: Experiment, data: Data) -> Tensor:
    """The output of one pass over examples of the data, [n, outputs].

    Raises MetatlError with what the model says where it does not take them, and for any other output.
    """
    x, rows = _given(experiment, data)
    try:
        with torch.no_grad():
            output = net(transfer.params, transfer.buffers, x)
    except (MetatlError, MemoryError):
        raise
    except Exception as error:  # an assertion, a shape that torch refuses, whatever a model raises
        raise MetatlError(
            f"the model does not take examples of shape {data.shape}: {_said(error)}"
        ) from error
    if not isinstance(output, Tensor):
        raise MetatlError(
            f"the model's forward gives a {type(output).__name__}; a run needs one tensor [examples, outputs]"
        )
    if output.dim() != 2 or len(output) != rows:
        raise MetatlError(
            f"the model gives {list(output.shape)} for {rows} examples of shape {data.shape}; a run needs "
            f"[{rows}, outputs]"
        )
    return output


def fitting(
    own: Transfer, first: Transfer, net: Net, shapes: tuple[tuple[int, ...], ...], where: str | None
) -> Transfer:
    """The start's weights, once names and shapes are those of the model (rows of the output layer apart).

    Its data may be others: a net that was trained on digits starts on characters. shapes: of an example there
    and here.
    """
    there, here = map(list, shapes)
    seen = f" (examples are {there} there and {here} here)" if there != here else ""
    for name in [*own.params, *first.params]:
        if name not in own.params or name not in first.params:
            side = "the start" if name not in first.params else "this config's model"
            raise MetatlError(f"start {where} does not fit the model: {side} has no weight '{name}'")
        mine, theirs = own.params[name].shape, first.params[name].shape
        rows = int(net.is_head(name))  # an output layer may have other rows, but not other inputs
        if mine[rows:] != theirs[rows:]:
            raise MetatlError(
                f"start {where} does not fit the model: weight '{name}' is {list(theirs)} there "
                f"and {list(mine)} here{seen}; give both the same model and examples of one shape"
            )
    return first


def _said(error: Exception) -> str:
    """The first line of what an error says, with its kind where that says nothing."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {line}" if not isinstance(error, ValueError | RuntimeError) else line

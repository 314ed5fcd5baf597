"""Checks at a net's door: a module is used as it is, or refused in one line."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from metatl import tree
from metatl.norm import BatchNorm, Rows, moments_from
from metatl.order_of_use import used_in_order
from metatl.types import Buffers, MetatlError, Params

if TYPE_CHECKING:
    from metatl.net import Net

_CAREFUL = (nn.LayerNorm, nn.modules.batchnorm._NormBase)  # pyright: ignore[reportPrivateUsage]
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def hooked(layer: nn.Module) -> bool:
    """Whether anything hangs on a layer that acts when it is called."""
    return any(vars(layer).get(kind) for kind in _HOOKS)


def is_plain(module: nn.Module) -> bool:
    """Whether all layers are exactly torch's or ours, without hooks, and no norm among them is torch's."""
    return not any(
        hooked(layer)
        or isinstance(layer, _CAREFUL)
        or not type(layer).__module__.startswith(("torch.nn.modules.", "metatl."))
        for layer in module.modules()
    )


def own_copy(module: nn.Module, example: Any = None) -> nn.Module:
    """A copy in eval mode that counts no batches; raises MetatlError for what cannot be copied or used."""
    if not isinstance(module, nn.Module):
        raise MetatlError(f"{str(module)[:60]} is no net; give an object of a subclass of nn.Module")
    for name, layer in module.named_modules():
        for key, value in vars(layer).items():
            if isinstance(value, Tensor) and (value.grad_fn is not None or _computed(layer, key)):
                raise MetatlError(
                    f"layer '{name}' computes '{key}' in a hook before each pass (old weight or spectral "
                    "norm, pruning); use torch.nn.utils.parametrizations, or prune.remove"
                )
    try:
        module = copy.deepcopy(module).eval()
    except Exception as error:  # whatever a layer of somebody's own raises
        said = " ".join(str(error).split())[:200]
        raise MetatlError(f"the net cannot be copied ({type(error).__name__}: {said})") from error
    if any(isinstance(p, nn.UninitializedParameter) for p in module.parameters()):
        if example is None:
            raise MetatlError("the net has lazy layers; pass one batch through it first, or give an example")
        with torch.no_grad():
            _called(module, example)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._NormBase):  # pyright: ignore[reportPrivateUsage]
            layer.num_batches_tracked = None
    return module


def _computed(layer: nn.Module, key: str) -> bool:
    held = vars(layer).get("_parameters", {})
    return any(f"{key}{suffix}" in held for suffix in ("_orig", "_g"))


def _called(module: nn.Module, x: Any) -> Any:
    try:
        return module(**x) if isinstance(x, Mapping) else module(x)
    except MetatlError:
        raise
    except Exception as error:  # a forward of somebody's own raises anything
        said = (str(error).splitlines() or [""])[0][:200]
        raise MetatlError(f"the net does not take these inputs: {type(error).__name__}: {said}") from error


def _traced(module: nn.Module, x: Any) -> Any:
    """A pass that tells layers by use: a single row goes twice through a batch norm, for moments of it."""
    ours = any(isinstance(layer, BatchNorm) for layer in module.modules())
    return _called(module, tree.gather([x, x], torch.cat) if ours and tree.rows(x) == 1 else x)


def called(module: nn.Module, tensors: tuple[Params, Buffers], x: Any) -> Any:
    """The module's output for x under these tensors; a mapping is passed as keywords.

    Whole numbers that it does not take as such (counts, say) are taken as floats.
    """
    if isinstance(x, Mapping):
        return functional_call(module, tensors, (), dict(x))
    try:
        return functional_call(module, tensors, (x,))
    except RuntimeError:
        if x.is_floating_point():
            raise
        as_floats = x.to(next(iter(tensors[0].values())).dtype)
    return functional_call(module, tensors, (as_floats,))


def output_layer(module: nn.Module, head: str | None, example: Any) -> str | None:
    """The name of the linear output layer, None where there is none; MetatlError for a wrong name."""
    linear = {
        name: child
        for name, child in module.named_modules()
        if isinstance(child, nn.Linear) and not isinstance(child, NonDynamicallyQuantizableLinear)
    }
    if head is not None:
        if head not in linear:
            known = ", ".join(linear) or "none"
            raise MetatlError(f"the net needs a linear output layer; head={head!r} is none of: {known}")
        return head
    said = getattr(module, "pretrained_cfg", None)  # timm's nets say it themselves
    named = said.get("classifier") if isinstance(said, Mapping) else None
    if isinstance(named, str) and named in linear:
        return named
    if example is None:
        return list(linear)[-1] if linear else None
    return _last_called(module, linear, example)


def _last_called(module: nn.Module, linear: Mapping[str, nn.Module], example: Any) -> str | None:
    """The linear layer that is called last, if what the net gives is as wide as what that layer gives."""
    calls: list[tuple[str, int]] = []

    def note(name: str) -> Any:
        return lambda _, __, out: calls.append((name, out.shape[-1]))

    hooks = [layer.register_forward_hook(note(name)) for name, layer in linear.items()]
    try:
        with torch.no_grad():
            output = readable(_traced(module, example))
    finally:
        for hook in hooks:
            hook.remove()
    if not calls:
        return None
    name, width = calls[-1]
    return None if isinstance(output, Tensor) and output.shape[-1] != width else name


def order_of_use(module: nn.Module, example: Any) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names of the weights as a pass over the example uses them; those that it does not use."""
    with torch.no_grad():
        return used_in_order(module, lambda: _traced(module, example))


def rows_of(module: nn.Module, name: str) -> int:
    """Rows of a linear layer's weight."""
    layer = module.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    return layer.out_features


def readable(output: Any) -> Any:
    """A pass's output: a tensor, or a mapping of tensors (several heads); objects and mappings with `logits`.

    Raises MetatlError for anything else.
    """
    if isinstance(output, Tensor):
        return output
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    if isinstance(output, Mapping) and output and all(isinstance(leaf, Tensor) for leaf in output.values()):
        return dict(output)
    raise MetatlError(
        f"the net gives a {type(output).__name__}; its forward must give one tensor, or a dict of tensors"
    )


def same_as_eval(net: Net, example: Any) -> Any:
    """The output with frozen moments; raises MetatlError where it is not that of `module.eval()`."""
    start = net.start()
    with torch.no_grad():
        try:
            # Norms of our own ask in `module.eval()` too which rows give their moments.
            with moments_from(Rows(frozen=True)):
                right = readable(_called(net.module, example))
                mine = net(start.params, start.buffers, example)
        except MetatlError as error:
            if "running moments" in str(error):  # of a batch norm that keeps none
                return readable(_called(net.module, example))
            raise
    for one, two in zip(_leaves(mine), _leaves(right), strict=True):
        off, size = (float(leaf.abs().max()) if leaf.numel() else 0.0 for leaf in (one - two, two))
        if not off <= (1.0 + size) * max(1e-4, 4 * torch.finfo(two.dtype).eps):  # of bfloat16 it is .008
            raise MetatlError(
                f"with frozen moments the net's outputs are off by {off:.2g} from module.eval(); its forward "
                "depends on more than weights, buffers and inputs"
            )
    return mine


def _leaves(output: Any) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else list(output.values())

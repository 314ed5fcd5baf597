"""Every study's command says in one line what was wrong with what it was given, and writes nothing."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
WRONG = [
    ("gtl_proof.py", "--repetitions 0", "--repetitions: '0' is not a whole number from 1 on"),
    ("gtl_mnist.py", "--nets 2.5", "--nets: '2.5' is not a whole number"),
    ("gtl_alphabets.py", "--nets -1", "--nets: '-1' is not a whole number"),
    ("gtl_alphabets.py", "--settings 5w1s,7w", "'7w' is none of 5w1s, 5w5s, 20w1s, 20w5s"),
    ("gtl_family.py", "--nets none", "--nets: 'none' is not a whole number"),
    ("sinusoid.py", "--share nan", "--share: 'nan' is not a share"),
    ("sinusoid.py", "--seeds 0", "--seeds: '0' is not a whole number"),
    ("omniglot_maml.py", "--share -0.1", "--share: '-0.1' is not a share"),
    ("omniglot_maml.py", "--only maml_5w1s --precision double", "precision: Expected"),
    ("omniglot_maml.py", "--only maml_5w1s --device abacus", "'abacus'"),
    ("fish_density.py", "cifar", "invalid choice: 'cifar'"),
    ("transfer_clinc150.py", "--minutes none", "--minutes: 'none' is not a share"),
    ("transfer_cells.py", "--minutes 0", "--minutes: '0' is not a share"),
    ("gtl_unlabelled.py", "--minutes 0", "--minutes: '0' is not a share"),
    ("parameter_transfer.py", "--splits 6", "'6': ten classes make 5 pairs"),
    ("parameter_transfer.py", "--only dogs", "invalid choice: 'dogs'"),
    ("scouts_directions.py", "--rows walk", "there is no row walk; rows are "),
    ("scouts_directions.py", "--source letters", "invalid choice: 'letters'"),
    ("scouts_directions.py", "--source alphabets --rows subspace-4", "there is no row subspace-4; rows are "),
    ("scouts_directions.py", "--draws 0", "--draws: '0' is not a whole number from 1 on"),
    ("people.py", "--rows person-in-5,nobody", "there is no row nobody; rows are no-personalisation, "),
    ("real_nets.py", "--rows subspace", "there is no row subspace; rows are "),
    ("real_nets.py", "--net minilm --rows lora", "there is no row lora; rows are "),
    ("in_context_examples.py", "--priors sinusoids,digits", "digits is none of linear-functions, "),
    ("in_context_examples.py", "--share 0", "--share: '0' is not a share"),
    ("real_nets.py", "--net bert", "invalid choice: 'bert'"),
]
NEEDS_DATA = ["gtl_mnist.py", "gtl_alphabets.py", "gtl_family.py", "hapt_gtl.py", "hapt_personal.py",
              "omniglot_maml.py", "fish_density.py hapt", "transfer_cells.py", "gtl_unlabelled.py",
              "transfer_clinc150.py", "parameter_transfer.py", "parameter_transfer.py --only cifar10",
              "parameter_transfer.py --only diversity", "scouts_directions.py", "people.py",
              "scouts_directions.py --source alphabets", "real_nets.py",
              "real_nets.py --net minilm", "in_context_examples.py --priors mnist-projections"]  # fmt: skip


def said(script: str, words: str, capfd: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> str:
    """The last line of a script that was refused; the script's own folder is where it finds its helpers."""
    name, *own = f"{script} {words}".split()
    patch.setattr(sys, "argv", [str(SCRIPTS / name), *own])
    patch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(SCRIPTS / name), run_name="__main__")
    assert left.value.code == 2
    out, error = capfd.readouterr()
    assert "Traceback" not in out + error
    return error.strip().splitlines()[-1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("script", "words", "expected"), WRONG)
def test_wrong_words_are_one_line(
    script: str, words: str, expected: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = said(script, words, capfd, monkeypatch)
    assert line.startswith(f"{script}: ")
    assert expected in line
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("script", NEEDS_DATA)
def test_data_that_is_not_there_is_one_line(
    script: str, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("METATL_DATA", "METATL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    monkeypatch.setattr("urllib.request.urlopen", _no_network)
    line = said(script, "", capfd, monkeypatch)
    assert line.startswith(f"{script.split(maxsplit=1)[0]}: ")
    assert "put " in line
    assert "METATL_DATA" in line
    assert not (tmp_path / "results").exists()


def _no_network(*_: object, **__: object) -> None:
    raise OSError("no network here")

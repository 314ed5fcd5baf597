"""People on the command line: learned on some, adapted to the others, one person kept as a delta."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from metatl.lab import config, store
from metatl.transferring import people
from tests.commands import metatl, only, refused

pytest.importorskip("sklearn")
PEOPLE = ("ada", "ben", "cem", "dee", "eli", "fay", "gus", "hal", "ida", "jon")
TO_GROUP = ("--target", "word", "--group", "speaker", "--adapt-to", "group")
FEW = ("--methods", "kl-anchor", "--draws", "2", "--labelled", "2")


def table(path: Path, people: Sequence[str] = PEOPLE, turned: Sequence[str] = (), seed: int = 0) -> Path:
    """Two sessions of 12 rows each: `loud` says the word, and its opposite for those who are turned."""
    rng, rows = np.random.default_rng(seed), [["id", "speaker", "session", "word", "loud", "noise", "mood"]]
    for who in people:
        for session in ("mon", "tue"):
            for i in range(12):
                word = ("no", "yes")[i % 2]
                side = (1 if word == "yes" else -1) * (-1 if who in turned else 1)
                loud, noise = side + 0.3 * rng.normal(), rng.normal()
                rows.append(
                    [f"{who}{session}{i}", who, session, word, f"{loud:.4f}", f"{noise:.4f}", "ab"[i // 6]]
                )
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, own_cache: None, one_thread: None) -> Path:
    folder = tmp_path_factory.mktemp("p")
    table(folder / "said.csv")
    words = (*TO_GROUP, "--apart", "session", "--drop", "id", *FEW, "--out", folder / "o")
    found = metatl("transfer", folder / "said.csv", *words)
    assert found.code == 0, found
    assert "a new person: metatl personalise" in found.out
    return folder


def run_of(place: Path) -> Path:
    """The run whose way of adapting is kl-anchor."""
    return only(place / "o" / "runs" / "kl-anchor")


def test_people_are_learned_from_or_adapted_to(place: Path) -> None:
    report = store.read_json(place / "o" / "labelled-2" / "report.json")
    assert {row["method"] for row in report["groups"]} == {"no-adaptation", "fine-tuning", "kl-anchor"}
    adapted = set(report["groups"][0]["by_group"])
    assert len(adapted) == 3
    assert adapted < set(PEOPLE)
    for row in report["groups"]:
        assert min(row["by_group"].values()) > 90, row
        assert row["worst_tenth"] == min(row["by_group"].values())
        assert set(row["harmed"]) <= adapted
    text = (place / "o" / "labelled-2" / "table.md").read_text()
    assert "| worst tenth | harmed |" in text
    assert all(name in text for name in adapted)
    page = (place / "o" / "labelled-2" / "report.html").read_text()
    assert "By group" in page
    assert all(f'<td class="text">{name}</td>' in page for name in adapted)


def test_the_written_configs_are_a_benchmarks(place: Path) -> None:
    configs = sorted((place / "o" / "configs").glob("*.yaml"))
    found = metatl("benchmark", *configs, "--reference", "fine-tuning", "--no-transfer", "no-adaptation")
    assert found.code == 0, found
    before = store.read_json(place / "o" / "labelled-2" / "report.json")
    assert f"{before['rows'][0]['accuracy']:.2f}" in found.out


def test_every_row_is_a_config() -> None:
    rows = {path.stem: path for path in people.FOLDER.glob("*.yaml")}
    assert {people.FLOOR, people.REFERENCE, "kl-anchor", "l2-sp", "fish", "gtl", "maml"} < set(rows)
    for name, path in rows.items():
        values = config.read(path) | {"data": {"class_path": "Sinusoid"}, "model": {"class_path": "MLP"}}
        made = config.parse(values, (), str(path))
        assert made.name == name
        assert made.start is not None
        assert Path(made.start).is_file()
        assert (made.select is None) == (made.family == "no transfer")
        assert path.read_text().startswith("# ")


def test_one_person_of_a_run_is_a_delta(place: Path, tmp_path: Path) -> None:
    mine, new = table(tmp_path / "zoe.csv", ["zoe"], ["zoe"]), tmp_path / "new.csv"
    table(new, ["zoe"], ["zoe"], seed=1)
    said = metatl("personalise", run_of(place), mine, "--out", tmp_path / "zoe.delta")
    assert said.code == 0, said
    assert "adapted to 24 rows" in said.out
    whole = (run_of(place) / "transfer.safetensors").stat().st_size
    assert (tmp_path / "zoe.delta").stat().st_size < 1.2 * whole
    found = metatl("predict", run_of(place), new, "--delta", tmp_path / "zoe.delta")
    assert found.code == 0, found
    lines = list(csv.DictReader(found.out.splitlines()))
    assert [one["line"] for one in lines] == [f"zoe{day}{i}" for day in ("mon", "tue") for i in range(12)]
    assert {one["label"] for one in lines} <= {"no", "yes"}
    assert "metatl personalise" in refused("predict", run_of(place), new)
    written = metatl(
        "predict", run_of(place), new, "--delta", tmp_path / "zoe.delta", "--out", tmp_path / "p.csv"
    )
    assert "24 rows" in written.out
    assert (tmp_path / "p.csv").read_text().splitlines() == found.out.splitlines()


def test_a_delta_of_another_base_is_refused(place: Path, tmp_path: Path) -> None:
    mine = table(tmp_path / "zoe.csv", ["zoe"])
    assert metatl("personalise", run_of(place), mine, "--out", tmp_path / "zoe.delta").code == 0
    other = table(tmp_path / "other.csv", seed=5)
    words = ("--target", "word", "--drop", "id,speaker,session", "--labelled", "all", "--minutes", "0.3")
    made = metatl("transfer", other, *words, "--methods", "logistic-regression", "--out", tmp_path / "m")
    assert made.code == 0, made
    said = refused("predict", tmp_path / "m", mine, "--delta", tmp_path / "zoe.delta")
    assert "belongs to a base with SHA-256" in said
    assert "zoe.delta" in said


def test_a_saved_model_is_personalised(place: Path, tmp_path: Path) -> None:
    words = ("--target", "word", "--drop", "id,speaker,session", "--labelled", "all", "--minutes", "0.3")
    made = metatl(
        "transfer",
        place / "said.csv",
        *words,
        "--methods",
        "logistic-regression",
        "--draws",
        "2",
        "--out",
        tmp_path / "m",
    )
    assert made.code == 0, made
    mine = table(tmp_path / "zoe.csv", ["zoe"], ["zoe"])
    assert "--target" in refused("personalise", tmp_path / "m", mine, "--out", tmp_path / "a.delta")
    for folder in (tmp_path / "m", tmp_path / "m" / "model"):
        said = metatl("personalise", folder, mine, "--target", "word", "--out", tmp_path / "zoe.delta")
        assert said.code == 0, said
    plain, own = (
        list(csv.DictReader(metatl("predict", tmp_path / "m", mine, *more).out.splitlines()))
        for more in ((), ("--delta", tmp_path / "zoe.delta"))
    )
    truth = [("no", "yes")[i % 2] for i in range(12)] * 2

    def sure(lines: list[dict[str, str]]) -> float:
        right = [
            float(one["probability"] if one["label"] == word else one["second_probability"])
            for one, word in zip(lines, truth, strict=True)
        ]
        return float(np.mean(right))

    assert sure(own) > sure(plain) + 0.02
    assert [one["line"] for one in own] == [one["line"] for one in plain]


def test_a_person_without_a_class_and_one_that_nobody_learned(place: Path, tmp_path: Path) -> None:
    rows = table(tmp_path / "zoe.csv", ["zoe"]).read_text().splitlines()
    one = tmp_path / "one.csv"
    one.write_text("\n".join([rows[0], *(row for row in rows[1:] if ",yes," in row)]) + "\n")
    assert metatl("personalise", run_of(place), one, "--out", tmp_path / "a.delta").code == 0
    other = tmp_path / "other.csv"
    other.write_text("\n".join(rows).replace(",yes,", ",yess,") + "\n")
    said = refused("personalise", run_of(place), other, "--out", tmp_path / "b.delta")
    assert "yess" in said
    assert not (tmp_path / "b.delta").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--group", "speakr"), "nearest: speaker"),
        (("--apart", "sesion"), "nearest: session"),
        (("--apart", "one"), "none lie apart"),
        (("--group", "one"), "1 different values of one"),
        (("--methods", "kl-ancor"), "nearest: kl-anchor"),
        (("--labelled", "40"), "fewer than two classes"),
        (("--labelled", "all"), "no number of labels"),
        (("--net", "CNN"), "CNN reads photos, and these are rows"),
        (("--teacher", "CNN"), "leave it out"),
    ],
)
def test_what_cannot_work_is_one_line(
    tmp_path: Path, own_cache: None, words: tuple[str, ...], said: str
) -> None:
    file = table(tmp_path / "said.csv")
    rows = file.read_text().splitlines()
    file.write_text("\n".join([rows[0] + ",one", *(row + ",same" for row in rows[1:])]) + "\n")
    given = ("--target", "word", "--group", "speaker", "--adapt-to", "group", "--out", tmp_path / "o", *words)
    assert said in refused("transfer", file, *given)


def test_words_that_miss_each_other(tmp_path: Path, own_cache: None, one_thread: None) -> None:
    file = table(tmp_path / "said.csv")
    assert "--group" in refused("transfer", file, "--target", "word", "--adapt-to", "group")
    assert "--target" in refused("transfer", file, "--group", "speaker", "--adapt-to", "group")
    assert "--adapt-to group" in refused("transfer", file, "--target", "word", "--apart", "session")
    assert "no such folder" in refused("personalise", tmp_path / "n", file, "--out", tmp_path / "a")


def test_one_session_alone_is_left_out_by_name(tmp_path: Path, own_cache: None, one_thread: None) -> None:
    file = table(tmp_path / "said.csv")
    file.write_text(
        "\n".join(row for row in file.read_text().splitlines() if not ("ada" in row and ",tue," in row))
        + "\n"
    )
    words = (*TO_GROUP, "--apart", "session", "--drop", "id", "--methods", "head-only", "--draws", "2")
    found = metatl("transfer", file, *words, "--labelled", "1", "--out", tmp_path / "o")
    assert found.code == 0, found
    assert "left out: ada (lacks a class, or a second session with every class)" in found.out


def test_speakers_of_wav_files(tmp_path: Path, own_cache: None, one_thread: None) -> None:
    rng, rows = np.random.default_rng(0), [["file", "speaker", "session", "word"]]
    at = np.arange(1200) / 8000
    for p, who in enumerate(PEOPLE[:8]):
        for i in range(16):
            word, session = ("low", "high")[i % 2], "ab"[i // 8]
            sound = 0.3 * np.sin(2 * np.pi * (300, 900)[i % 2] * (1 + 0.03 * p) * at) + 0.03 * rng.normal(
                size=1200
            )
            name = f"{who}{i}.wav"
            wavfile.write(tmp_path / name, 8000, (2**15 * sound).astype(np.int16))
            rows.append([name, who, session, word])
    with (tmp_path / "said.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    words = (*TO_GROUP, "--audio", "file", "--apart", "session", "--methods", "head-only", "--draws", "2")
    found = metatl("transfer", tmp_path / "said.csv", *words, "--labelled", "2", "--out", tmp_path / "o")
    assert found.code == 0, found
    report = store.read_json(tmp_path / "o" / "labelled-2" / "report.json")
    assert all(min(row["by_group"].values()) > 90 for row in report["groups"])
    run = only(tmp_path / "o" / "runs" / "head-only")
    assert metatl("personalise", run, tmp_path / "said.csv", "--out", tmp_path / "a.delta").code == 0
    said = metatl("predict", run, tmp_path / "said.csv", "--delta", tmp_path / "a.delta")
    lines = list(csv.DictReader(said.out.splitlines()))
    assert [one["label"] for one in lines] == [row[3] for row in rows[1:]]


def test_the_people_of_hapt(data_root: Path, tmp_path: Path, own_cache: None, one_thread: None) -> None:
    """Subjects as people and experiments as sessions; one of them as an npz of their own."""
    file = data_root / "hapt" / "hapt_windows_128.npz"
    assert file.is_file()
    words = ("--target", "y", "--group", "subject", "--apart", "experiment", "--adapt-to", "group")
    few = ("--methods", "head-only", "--draws", "1", "--labelled", "2", "--out", tmp_path / "o")
    found = metatl("transfer", file, *words, *few)
    assert found.code == 0, found
    assert "left out: class 7 " in found.out  # a transition
    report = store.read_json(tmp_path / "o" / "labelled-2" / "report.json")
    assert report["protocol"]["way"] == 6
    rows = {row["method"]: row for row in report["groups"]}
    assert set(rows) == {"no-adaptation", "fine-tuning", "head-only"}
    assert all(row["groups"] == 9 for row in rows.values())
    assert rows["no-adaptation"]["accuracy"] > 80
    held = np.load(file)
    own = (held["subject"] == 30) & (held["y"] <= 6)
    one = {"x": held["x"][own], "y": held["y"][own], "scale": held["scale"]}
    np.savez(tmp_path / "30.npz", **one)
    run, delta = only(tmp_path / "o" / "runs" / "head-only"), tmp_path / "30.delta"
    assert metatl("personalise", run, tmp_path / "30.npz", "--out", delta).code == 0
    assert delta.stat().st_size < 5000  # the output layer and the person's moments alone
    said = metatl("predict", run, tmp_path / "30.npz", "--delta", delta)
    labels = [line["label"] for line in csv.DictReader(said.out.splitlines())]
    assert np.mean([label == str(y) for label, y in zip(labels, one["y"].tolist(), strict=True)]) > 0.8

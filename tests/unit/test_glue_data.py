"""`make glue-data`: the files that named studies read, from official rows that these tests write."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

import stages.glue_data
from src.data.preparation import prepare_task
from src.data.prepared import load_selection_labels, load_test_labels
from src.glue_data.chaosnli import rows_of_release
from src.glue_data.files import LISTS, study_files
from src.glue_data.lists import write_lists
from src.glue_data.rows import compressed, json_lines, normal_form, sha256
from src.study.named.overrides import study_content, study_params
from src.system.errors import UserError
from src.system.files import read_json, read_parquet
from tests.conftest import REPOSITORY
from tests.faults.conftest import refused  # noqa: F401  fixtures
from tests.faults.hostile.cases import Case, table
from tests.support.hub_repositories import TASKS, glue_of
from tests.support.hub_server import serving
from tests.support.repository import digests, small_disk

KIND = "the data of studies"
SAMPLE = ["qqp", "--from", "official", "--lists", "lists"]
WHOLE = ["rte", "--from", "official", "--lists", "lists"]
QUOTED = '"Who said ""no""?"'


def rte(rows: int, first: int = 0) -> pd.DataFrame:
    numbers = range(first, first + rows)
    texts = {"sentence1": [f"{number} apples fell." for number in numbers], "sentence2": ["Some  fell."] * rows}
    return pd.DataFrame(texts | {"label": [number % 2 for number in numbers], "idx": range(rows)})


def qqp(rows: int) -> pd.DataFrame:
    """Official rows, among them some that a careless normal form would take for one another."""
    firsts = ["What is C#?", "What is C++?", QUOTED, 'What does "love" mean?', "What does love mean?", "Is it  so? "]
    firsts += [f"Who has {number} horses?" for number in range(len(firsts), rows)]
    texts = {"question1": firsts, "question2": ["Why?"] * rows}
    return pd.DataFrame(texts | {"label": [number % 2 for number in range(rows)], "idx": range(rows)})


def write(path: Path, rows: pd.DataFrame) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(compressed(json_lines(rows), path.name.removesuffix(".gz")))
    return path.read_bytes()


@pytest.fixture
def studied(tmp_path, monkeypatch) -> dict[str, bytes]:
    """The bytes that studies read, of a complete task and of a sample; in the current folder are the official data."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", "params.yaml")
    Path("lists").mkdir()
    sample = qqp(40).iloc[[2, 9, 0, 5, 1, 20, 4, 3]].assign(idx=range(8))
    studies = {"rte/train": rte(30), "rte/validation": rte(9, 30), "qqp/train": sample}
    found = {f"{name}.jsonl.gz": write(Path(f"read/{name}.jsonl.gz"), rows) for name, rows in studies.items()}
    write_lists(Path("read"), Path("lists"), samples=("qqp/train",))
    shutil.rmtree("read")
    for name, rows in {"rte/train": rte(30), "rte/validation": rte(9, 30), "qqp/train": qqp(40)}.items():
        write(Path(f"official/{name}.jsonl.gz"), rows)
    return found


def official(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change the rows of an official split."""
    path = Path(f"official/{name}.jsonl.gz")
    write(path, change(pd.read_json(path, lines=True, dtype=False)))


@pytest.fixture
def made(monkeypatch, capsys) -> Callable[..., str]:
    """Call the stage; what it prints."""

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["stage", *arguments])
        stages.glue_data.main()
        return capsys.readouterr().out

    return call


def same(studied: dict[str, bytes], *names: str) -> bool:
    return all(Path("glue-data", name).read_bytes() == studied[name] for name in names)


def test_complete_splits_are_those_of_the_studies_to_the_byte_and_are_made_once(studied, made):
    assert "glue-data/rte/train.jsonl.gz: 30 rows\n" in made(*WHOLE)
    assert same(studied, "rte/train.jsonl.gz", "rte/validation.jsonl.gz")
    shutil.rmtree("official")
    assert made(*WHOLE).count("there already") == 2


def test_a_sample_is_found_among_shuffled_official_rows(studied, made):
    official("qqp/train", lambda rows: rows.sample(frac=1, random_state=0).assign(idx=range(40)))
    made(*SAMPLE)
    assert same(studied, "qqp/train.jsonl.gz")


def test_of_official_rows_that_differ_in_blanks_the_exact_one_is_taken(studied, made):
    """`What is  C#?` stands before `What is C#?`, which is there twice."""
    twice = qqp(40)[:1]
    near = twice.assign(question1="What is  C#?")
    official("qqp/train", lambda rows: pd.concat([near, rows, twice]))
    made(*SAMPLE)
    assert same(studied, "qqp/train.jsonl.gz")


def test_rows_without_idx_in_another_format_are_counted(studied, made):
    """A copy as TSV, with labels as names."""
    rows = rte(30).assign(label=lambda rows: rows["label"].map({0: "entailment", 1: "not_entailment"}))
    Path("official/rte/train.jsonl.gz").unlink()
    rows.drop(columns="idx").to_csv("official/rte/train.tsv", sep="\t", index=False)
    made(*WHOLE)
    assert same(studied, "rte/train.jsonl.gz")


@pytest.mark.parametrize("value", [None, "", "3a", 1.5])
def test_rows_are_counted_if_an_idx_is_no_whole_number(studied, made, value):
    official("rte/train", lambda rows: rows.assign(idx=rows["idx"].astype(object).where(rows.index != 3, value)))
    made(*WHOLE)
    assert same(studied, "rte/train.jsonl.gz")


def without(*numbers: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: rows.drop(index=list(numbers))


def as_csv_reads(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.replace({QUOTED: 'Who said "no"?'}).assign(question1=lambda rows: rows["question1"].str.strip())


def with_blanks(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(sentence2="Some fell.")


DIFFERENT: dict[str, tuple[str, tuple, str]] = {
    "one missing": (
        "one official row that a sample has is missing",
        (SAMPLE, "qqp/train", without(9)),
        "qqp/train.jsonl.gz: lacks 1 of the 8 rows that the studies read (lines of qqp-train.txt: 2); use an official",
    ),
    "many missing": (
        "most official rows that a sample has are missing",
        (SAMPLE, "qqp/train", without(2, 9, 0, 5, 1, 20)),
        "lacks 6 of the 8 rows that the studies read (lines of qqp-train.txt: 1, 2, 3, 4, 5, ...)",
    ),
    "other label": (
        "an official row has another label than the sample",
        (SAMPLE, "qqp/train", lambda rows: rows.assign(label=rows["label"].where(rows.index != 0, 1))),
        "lacks 1 of the 8 rows that the studies read (lines of qqp-train.txt: 3)",
    ),
    "blanks and quotes": (
        "a copy without the quotes of CSV, and without blanks at the ends of texts",
        (SAMPLE, "qqp/train", as_csv_reads),
        "2 of 8 rows differ from those that the studies read, but only in blanks or quotes; use another copy, or",
    ),
    "blanks of all rows": (
        "a complete split with single blanks for double ones",
        (WHOLE, "rte/train", with_blanks),
        "some rows differ from those that the studies read, but only in blanks, quotes or idx; use another copy",
    ),
    "a row less": (
        "a complete split lacks a row",
        (WHOLE, "rte/train", without(7)),
        "official/rte/train.jsonl.gz: has 29 rows, but the studies read 30; use an official copy of GLUE",
    ),
    "other text": (
        "a complete split with another text",
        (WHOLE, "rte/train", lambda rows: rows.replace({"3 apples fell.": "3 pears fell."})),
        "its texts, labels or order of rows differ from those that the studies read",
    ),
    "other order": (
        "a complete split in another order",
        (WHOLE, "rte/train", lambda rows: rows.sample(frac=1, random_state=0)),
        "its texts, labels or order of rows differ from those that the studies read",
    ),
    "no column": (
        "a copy with other names of columns",
        (WHOLE, "rte/train", lambda rows: rows.rename(columns={"sentence2": "hypothesis"})),
        "no column 'sentence2'; allowed: 'sentence1', 'hypothesis', 'label', 'idx'",
    ),
}


@pytest.mark.fault
@table(DIFFERENT)
def test_official_data_that_differ(case: Case, studied, refused):  # noqa: F811
    arguments, name, change = case.damage
    official(name, change)
    refused(KIND, case, stages.glue_data.main, *arguments)


NOT_THERE = {
    "no folder": ("a folder that is not there", ["rte", "--from", "none", "--lists", "lists"], "rte/train: no such"),
    "no task": (
        "a task that no study reads",
        ["stsb"],
        "task stsb: is not one of the GLUE tasks that the studies read; allowed:",
    ),
    "no votes": (
        "ChaosNLI's file is not there",
        [*WHOLE, "--chaosnli", "c.jsonl"],
        "no such file; name chaosNLI_mnli_m",
    ),
    "other votes": (
        "a file that is not ChaosNLI's",
        [*WHOLE, "--chaosnli", "params.yaml"],
        "differs from the releas",
    ),
}


@pytest.mark.fault
@table(NOT_THERE)
def test_what_is_not_there(case: Case, studied, refused):  # noqa: F811
    refused(KIND, case, stages.glue_data.main, *case.damage)
    assert not Path("glue-data").exists()


def test_official_data_are_not_replaced_by_what_is_made_of_them(studied, refused):  # noqa: F811
    case = Case("official data lie in the folder to fill", None, "--from: is the folder to fill, so its files would be")
    before = digests(Path(), "official")
    refused(KIND, case, stages.glue_data.main, *SAMPLE, "--to", "lists/../official")
    assert digests(Path(), "official") == before


def test_a_home_folder_to_fill(studied, made, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    made(*WHOLE, "--to", "~/filled")
    assert Path("home/filled/rte/train.jsonl.gz").read_bytes() == studied["rte/train.jsonl.gz"]


@pytest.mark.fault
def test_a_full_disk_keeps_nothing_of_a_file(studied, refused):  # noqa: F811
    case = Case("no room for a file", None, "glue-data/rte/train.jsonl.gz: no space left on its disk")
    with small_disk(Path("glue-data"), "16k"):
        Path("glue-data/rte").mkdir()
        with suppress(OSError), Path("glue-data/other").open("wb", buffering=0) as file:
            file.write(bytes(16_000))
        refused(KIND, case, stages.glue_data.main, *WHOLE)


def test_near_writes_what_differs_in_blanks_and_quotes_and_says_so(studied, made):
    official("qqp/train", as_csv_reads)
    assert "8 rows; 2 of 8 rows differ from those that the studies read" in made(*SAMPLE, "--near")
    [third, *_] = gzip.decompress(Path("glue-data/qqp/train.jsonl.gz").read_bytes()).decode().splitlines()
    assert json.loads(third) == {"question1": 'Who said "no"?', "question2": "Why?", "label": 0, "idx": 0}
    assert "there already" not in made(*SAMPLE, "--near")
    official("qqp/train", lambda rows: qqp(40))
    made(*SAMPLE)
    assert same(studied, "qqp/train.jsonl.gz")


def test_another_compression_of_the_same_rows_is_told(studied, made):
    facts = json.loads(Path("lists/files.json").read_text())
    facts["qqp/train"]["gzip_sha256"] = "0" * 64
    Path("lists/files.json").write_text(json.dumps(facts))
    assert "8 rows; same rows as in the studies; only the gzip bytes differ" in made(*SAMPLE)


@pytest.mark.parametrize(
    ("text", "other", "equal"),
    [
        ("Is  it\tso? ", " Is it so?", True),
        (QUOTED, 'Who said "no"?', True),
        ('"""Oh"" is a word."', '"Oh" is a word.', True),
        ("caf\u00e9", "cafe\u0301", True),
        ("What is C#?", "What is C++?", False),
        ('What does "love" mean?', "What does love mean?", False),
        ("to day", "today", False),
        ("Polish", "polish", False),
    ],
)
def test_normal_form(text: str, other: str, equal: bool):
    assert (normal_form(text) == normal_form(other)) is equal
    assert normal_form(normal_form(text)) == normal_form(text)


def test_votes_of_chaosnli():
    """A label without votes is not in the counter."""
    example = {"uid": "1", "premise": "It rains. ", "hypothesis": "It is wet."}
    table = pd.DataFrame({"example": [example], "label_counter": [{"n": 30, "e": 70}], "majority_label": ["e"]})
    [row] = rows_of_release(table).to_dict("records")
    votes = {"votes_entailment": 70, "votes_neutral": 30, "votes_contradiction": 0}
    assert row == {"premise": "It rains. ", "hypothesis": "It is wet.", "label": 0} | votes | {"idx": 0}


def test_the_committed_hashes_are_of_the_files_that_studies_name():
    files = study_files()
    assert all(len(file.wanted()) == file.rows for own in files.values() for file in own if file.sample)
    assert len(list(LISTS.glob("*.txt"))) == sum(file.sample is not None for own in files.values() for file in own)
    known = {f"{task}/{file.split}" for task, own in files.items() for file in own}
    for path in (REPOSITORY / "studies").glob("*/study.yaml"):
        study = study_content(path.parent.name, REPOSITORY / "params.yaml", REPOSITORY / "studies")
        if study.get("glue", {}).get("folder") == "glue-data":
            assert set(read_by(study)) <= known, path


def read_by(study: dict) -> list[str]:
    """<task>/<split> of every file that a study reads from glue-data."""
    found = []
    for settings in map(study["task_settings"].get, study["tasks"]):
        if settings.get("source") == "glue":
            splits = ("train", settings.get("test_split", "validation"))
            found += [f"{settings['part']}/{split}" for split in splits]
        if also := settings.get("also_test"):
            found.append(f"{Path(also['path']).name}/{also['split']}")
    return found


def run_from_hub(address: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(folder / "hf"), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "stages.glue_data", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.process
def test_from_the_hub(studied, tmp_path):
    tables = {("rte", "train"): rte(30), ("rte", "validation"): rte(9, 30), ("qqp", "train"): qqp(40)[::-1]}
    with serving(
        {"datasets/nyu-mll/glue": glue_of({name: rows.to_dict("list") for name, rows in tables.items()})}
    ) as hub:
        ended = run_from_hub(hub.address, tmp_path, "--lists", "lists")
    assert ended.returncode == 0, ended.stderr
    assert f"fetching nyu-mll/glue qqp train from {hub.address}" in ended.stderr
    assert "not made; the study human needs it; to make it, add --chaosnli FILE" in ended.stdout
    assert same(studied, "rte/train.jsonl.gz", "rte/validation.jsonl.gz", "qqp/train.jsonl.gz")


# Slow: the real rows, where they are at hand.

SHARED = next((folder / "shared" for folder in REPOSITORY.parents if (folder / "shared/glue").is_dir()), None)
STUDY = "glue-minilm-fixed"


def among_others(rows: pd.DataFrame, texts: list[str]) -> pd.DataFrame:
    """The rows of a sample among others of our own, shuffled, and some of them twice."""
    turned = rows.assign(**{text: rows[text].str[::-1] for text in texts})
    other_labels = rows.assign(label=1 - rows["label"].clip(upper=1))
    others = pd.concat([turned, other_labels[other_labels["label"] != rows["label"]], rows[:50]])
    return pd.concat([rows, others]).sample(frac=1, random_state=0).drop(columns="idx")


def real_tables(shared: Path) -> dict[tuple[str, str], dict[str, list]]:
    """Splits as the hub has them, of the files that the committed studies ran on."""
    found = {}
    for task, files in study_files().items():
        for file in files if task != "chaosnli" else []:
            folder = shared / ("glue" if task in ("cola", "sst2", "mrpc", "rte", "wnli") else "glue-sample")
            rows = pd.DataFrame(map(json.loads, gzip.decompress((folder / file.name).read_bytes()).splitlines()))
            found[task, file.split] = (among_others(rows, TASKS[task][0]) if file.sample else rows).to_dict("list")
    return found


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(SHARED is None, reason="the real rows are not in git")
def test_the_real_files_and_the_rows_of_a_committed_study(tmp_path, monkeypatch):
    """From a hub to the bytes of the studies, and from these to the labels, ids and texts in a study's records."""
    with serving({"datasets/nyu-mll/glue": glue_of(real_tables(SHARED))}) as hub:
        shutil.copy(REPOSITORY / "params.yaml", tmp_path)
        ended = run_from_hub(hub.address, tmp_path)
    assert ended.returncode == 0, ended.stderr
    made = {path.relative_to(tmp_path / "glue-data"): path for path in tmp_path.glob("glue-data/*/*.gz")}
    assert len(made) == 16
    for name, path in made.items():
        [read] = [SHARED / folder / name for folder in ("glue", "glue-sample") if (SHARED / folder / name).exists()]
        assert path.read_bytes() == read.read_bytes(), name

    params = study_params(STUDY, REPOSITORY / "params.yaml", REPOSITORY / "studies")
    monkeypatch.chdir(tmp_path)
    for task in params.tasks:
        records = REPOSITORY / "metrics" / STUDY / "records" / task
        assert prepare_task(task, params) == read_json(records / "task.json")
        for labels, name in ((load_selection_labels, "selection_labels"), (load_test_labels, "test_labels")):
            kept = read_parquet(records / f"{name}.parquet")  # without clusters of test rows, which came later
            pd.testing.assert_frame_equal(labels(task)[[*kept]], kept)


def test_lists_are_not_made_again_from_fewer_files(studied):
    before = digests(Path("lists"), ".")
    write(Path("read/rte/train.jsonl.gz"), rte(30))
    write(Path("read/qqp/train.jsonl.gz"), qqp(9))
    with pytest.raises(UserError, match=r"^read/rte/validation\.jsonl\.gz: not found; give a folder with all files"):
        write_lists(Path("read"), Path("lists"), samples=("qqp/train",))
    assert digests(Path("lists"), ".") == before


@pytest.mark.slow
@pytest.mark.skipif(SHARED is None, reason="the real rows are not in git")
def test_the_committed_hashes_come_from_the_real_files(tmp_path):
    for folder in ("glue", "glue-sample", "."):
        for path in (SHARED / folder).glob("*/*.jsonl.gz"):
            (tmp_path / "read" / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "read" / path.parent.name)
    (tmp_path / "hashes").mkdir()
    write_lists(tmp_path / "read", tmp_path / "hashes")
    assert digests(tmp_path, "hashes") == {f"hashes/{path.name}": sha256(path.read_bytes()) for path in LISTS.iterdir()}

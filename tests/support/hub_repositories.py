"""Repositories for the hub of the tests: GLUE in the hub's form, a tiny BERT and DistilBERT, and other models."""

import io
import random
from functools import cache
from pathlib import Path

import datasets
import torch
from transformers import (
    BertConfig,
    BertForPreTraining,
    DistilBertConfig,
    DistilBertForMaskedLM,
)

from tests.conftest import BAD, GOOD, NEUTRAL, word_tokenizer
from tests.support.hub_server import Repository

datasets.disable_progress_bars()

GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
BERT_REVISION = "86b5e0934494bd15c9632b12f734a8a67f723594"
DISTILBERT_REVISION = "12040accade4e8a0f71eabdb258fecc2e7e948be"
ENTAILMENT = ["entailment", "not_entailment"]
TASKS = {  # texts and names of labels of each task, as nyu-mll/glue has them
    "cola": (["sentence"], ["unacceptable", "acceptable"]),
    "sst2": (["sentence"], ["negative", "positive"]),
    "mrpc": (["sentence1", "sentence2"], ["not_equivalent", "equivalent"]),
    "qqp": (["question1", "question2"], ["not_duplicate", "duplicate"]),
    "mnli": (["premise", "hypothesis"], ["entailment", "neutral", "contradiction"]),
    "qnli": (["question", "sentence"], ENTAILMENT),
    "rte": (["sentence1", "sentence2"], ENTAILMENT),
    "wnli": (["sentence1", "sentence2"], ["not_entailment", "entailment"]),
}
ROWS = {"train": 80, "validation": 30, "test": 20}


def splits_of(task: str) -> dict[str, int]:
    """Rows of each split; MNLI has two of validation and of test."""
    if task != "mnli":
        return ROWS
    both = {f"{split}_{kind}": ROWS[split] for split in ("validation", "test") for kind in ("matched", "mismatched")}
    return {"train": ROWS["train"], **both}


@cache
def glue() -> Repository:
    """nyu-mll/glue in small: eight configs of Parquet files, with labels of -1 in their test splits."""
    sizes = {(task, split): rows for task in TASKS for split, rows in splits_of(task).items()}
    return glue_of({name: _made_up(*name, rows) for name, rows in sizes.items()})


def glue_of(tables: dict[tuple[str, str], dict[str, list]]) -> Repository:
    """nyu-mll/glue with the columns of these splits, by task and split."""
    header = ["---", "configs:"]
    for task in dict.fromkeys(task for task, _ in tables):
        header += [f"- config_name: {task}", "  data_files:"]
        for split in (split for other, split in tables if other == task):
            header += [f"  - split: {split}", f"    path: {task}/{split}-*"]
    readme = {"README.md": "\n".join([*header, "---", "# GLUE in small"]).encode()}
    files = {
        f"{task}/{split}-00000-of-00001.parquet": _parquet(task, columns) for (task, split), columns in tables.items()
    }
    return Repository(GLUE_REVISION, readme | files)


def _made_up(task: str, split: str, rows: int) -> dict[str, list]:
    texts, labels = TASKS[task]
    draw = random.Random(f"{task} {split}")
    columns: dict[str, list] = {"label": [-1 if "test" in split else row % len(labels) for row in range(rows)]}
    return columns | {name: [_text(draw, label) for label in columns["label"]] for name in texts}


def _parquet(task: str, columns: dict[str, list]) -> bytes:
    texts, labels = TASKS[task]
    types = dict.fromkeys(texts, datasets.Value("string"))
    types |= {"label": datasets.ClassLabel(names=labels), "idx": datasets.Value("int32")}
    columns = {"idx": list(range(len(columns["label"])))} | columns
    file = io.BytesIO()
    datasets.Dataset.from_dict({name: columns[name] for name in types}, datasets.Features(types)).to_parquet(file)
    return file.getvalue()


def _text(draw: random.Random, label: int) -> str:
    words = draw.choices(NEUTRAL, k=draw.randint(3, 8)) + draw.choices((BAD, GOOD, NEUTRAL)[label], k=2)
    draw.shuffle(words)
    return " ".join(words)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def changed(repository: Repository, files: dict[str, bytes | None]) -> Repository:
    """The repository with some files changed. A file whose new content is None is removed."""
    kept = {path: content for path, content in (repository.files | files).items() if content is not None}
    return Repository(repository.revision, kept)


def bert(folder: Path, **saving: object) -> Repository:
    """A tiny BERT with the head of pre-training, saved to a folder first."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertForPreTraining(BertConfig(vocab_size=64, **shape)).save_pretrained(folder, **saving)
    word_tokenizer("[PAD]").save_pretrained(folder)
    return Repository(BERT_REVISION, _files(folder))


def distilbert(folder: Path) -> Repository:
    """A tiny DistilBERT with the head of pre-training."""
    torch.manual_seed(0)
    DistilBertForMaskedLM(
        DistilBertConfig(vocab_size=64, dim=32, n_layers=2, n_heads=2, hidden_dim=64)
    ).save_pretrained(folder)
    word_tokenizer("[PAD]").save_pretrained(folder)
    return Repository(DISTILBERT_REVISION, _files(folder))

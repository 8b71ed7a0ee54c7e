"""A small task whose rows many raters voted for, and its runs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

import stages.collect
import stages.evaluate
import stages.prepare
from src.params import load_params
from tests.conftest import labelled_texts, params_content
from tests.support.synthetic_study import make_runs

VOTES = {"human": ["no", "yes"]}
TINY = {"source": "folder", "path": "source", "text": ["sentence"], "labels": ["negative", "positive"]}
SECOND = {"name": "rated", "source": "folder", "path": "source", "split": "votes"} | VOTES


def write_rows(split: str, rows: int, seed: int, voted: bool) -> None:
    """Rows of a split; ten raters voted for each, most of them for its label."""
    generator, lines = np.random.default_rng(seed), labelled_texts(rows, seed)
    for line in lines:
        yes = int(generator.integers(6, 11)) if line["label"] else int(generator.integers(0, 5))
        line |= {"no": 10 - yes, "yes": yes} if voted else {}
    Path("source", f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def prepare(call, voted_train: bool, **settings) -> None:
    """Prepare a task whose test rows and second test set have votes; its train rows may have them."""
    Path("source").mkdir()
    write_rows("train", 160, 0, voted_train)
    write_rows("validation", 60, 1, voted=True)
    write_rows("votes", 50, 0, voted=True)  # texts of train
    content = params_content() | {"study": "made", "tasks": ["tiny"], "seeds": [0, 1]}
    content["finetune"]["arms"] = {"ce": {}, "cmi_max": {"cmi_weight": -1.0}}
    content["evaluate"]["claims"] = {"raters": content["evaluate"]["claims"]["raters"]}
    content["task_settings"]["tiny"] = TINY | {"metrics": ["accuracy"]} | settings
    Path("params.yaml").write_text(yaml.safe_dump(content))
    call(stages.prepare, "--task", "tiny")


def make_task_runs() -> None:
    """The runs of the prepared task."""
    files = Path("data/tiny").glob("*/*.parquet")
    splits = {path.stem: rows for path in sorted(files) if "label" in (rows := pd.read_parquet(path))}
    make_runs(load_params(), "tiny", splits)

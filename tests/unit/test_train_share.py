"""Learning from a share of the train rows: which ones, and that labels and the teacher's logits go with them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import stages.finetune
import stages.prepare
from src.core.method.batch import NO_LABEL
from src.core.models.encoding import encode
from src.core.models.tokenizer import load_tokenizer
from src.core.training.loading import learnt_rows, training_data
from src.data.prepared import LabelledSplit, PreparedTask, Split, load_task
from tests.conftest import labelled_texts
from tests.support.repository import tiny_study


def test_a_share_has_so_many_rows_all_arms_of_a_seed_the_same_and_a_larger_share_more():
    tenth, half = (learnt_rows(200, share, seed=3) for share in (0.1, 0.5))
    assert (len(tenth), len(half)) == (20, 100)
    assert {*tenth.tolist()} < {*half.tolist()}
    assert learnt_rows(200, 0.1, seed=3).equal(tenth)
    assert not learnt_rows(200, 0.1, seed=4).equal(tenth)


def test_the_whole_is_all_rows_in_their_order():
    assert learnt_rows(7, 1.0, seed=0).tolist() == [0, 1, 2, 3, 4, 5, 6]


@pytest.fixture
def task() -> PreparedTask:
    def split(rows: int, seed: int) -> LabelledSplit:
        texts = labelled_texts(rows, seed)
        labels = np.array([text["label"] for text in texts])
        return LabelledSplit([str(row) for row in range(rows)], [(text["sentence"],) for text in texts], labels)

    unlabelled = {name: Split(of.row_ids, of.texts) for name, of in (("test", split(10, 2)), ("transfer", split(6, 3)))}
    return PreparedTask("tiny", ["negative", "positive"], ["accuracy"], split(20, 0), split(10, 1), unlabelled)


def test_labels_logits_and_transfer_rows_go_with_the_rows(task, tiny_encoder):
    tokenizer = load_tokenizer(tiny_encoder)
    tokens = {name: encode(task.splits[name].texts, tokenizer, 16) for name in ("train", "selection", "transfer")}
    logits = np.arange(52, dtype=np.float32).reshape(26, 2)
    learnt = torch.tensor([2, 5, 11])
    data = training_data(task, tokens, tokens["transfer"], learnt, 2, logits)
    assert data.train.labels.tolist() == [*task.train.labels[[2, 5, 11]], *[NO_LABEL] * 6]
    assert data.train.teacher_logits[:, 0].tolist() == [4, 10, 22, 40, 42, 44, 46, 48, 50]
    everything = tokens["train"].joined(tokens["transfer"])
    rows = torch.tensor([2, 5, 11, *range(20, 26)])
    found, true = data.train.tokens.batch(torch.arange(9)), everything.batch(rows)
    assert all(found[name].equal(true[name]) for name in true)
    assert data.diagnostic.labels.tolist() == task.train.labels[[2, 5]].tolist()


def test_a_stage_takes_as_many_steps_as_the_share_has_batches(tmp_path, tiny_encoder, call, monkeypatch):
    content = tiny_study(tiny_encoder, tmp_path)
    content["finetune"]["arms"]["ce"] = {"training": {"train_share": 0.25, "epochs": 2, "batch_size": 8}}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    call(stages.prepare, "--task", "tiny")
    rows = len(load_task("tiny").train)
    call(stages.finetune, "--task", "tiny", "--arm", "ce", "--seed", "0")
    record = json.loads(Path("runs/tiny/teacher/ce/0/record.json").read_text())
    assert record["steps"] == 2 * -(-round(rows / 4) // 8)
    assert record["training"]["train_share"] == 0.25

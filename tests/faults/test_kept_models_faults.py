"""A kept model gives the run's logits in a fresh process: adapters with new weights, and pairs of texts."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from src.params import Lora, ModelSource
from tests.support.kept_run import kept_run, without_new_weights

KIND = "kept models"
FRESH = """
import json, sys
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer, logging, pipeline
logging.set_verbosity_error()
folder, base = sys.argv[1:]
pairs = json.load(sys.stdin)
def said(**model):
    classify = pipeline("text-classification", truncation=True, top_k=None, function_to_apply="none", **model)
    found = [{line["label"]: line["score"] for line in lines} for lines in classify(pairs)]
    return [[lines["negative"], lines["positive"]] for lines in found]
places = {arm: f"{folder}/{arm}/runs/tiny/teacher/ce/0/model" for arm in ("decoder", "lora")}
torch.manual_seed(77)
model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2, label2id={"negative": 0, "positive": 1},
                                                           id2label={0: "negative", 1: "positive"})
over = PeftModel.from_pretrained(model, places["lora"] + "/adapter").merge_and_unload()
answers = {arm: said(model=place) for arm, place in places.items()}
answers["adapter"] = said(model=over, tokenizer=AutoTokenizer.from_pretrained(places["lora"]))
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def bare(tiny_encoder, tmp_path_factory) -> ModelSource:
    """The tiny BERT without a pooler."""
    return without_new_weights(tiny_encoder, tmp_path_factory.mktemp("bare") / "model")


@pytest.fixture(scope="module")
def answers(bare, tiny_decoder, tmp_path_factory) -> dict[str, np.ndarray]:
    """Logits of the test rows: of two runs, and of what a fresh process makes of what they kept."""
    folder = tmp_path_factory.mktemp("kept")
    lora = bare.model_copy(update={"lora": Lora(rank=2, alpha=4, targets=["query"])})
    runs = {"decoder": kept_run(folder / "decoder", tiny_decoder), "lora": kept_run(folder / "lora", lora)}
    rows = pd.read_parquet(folder / "lora/data/tiny/splits/test.parquet")
    pairs = [{"text": row.text_a, "text_pair": row.text_b} for row in rows.itertuples()]
    command = [sys.executable, "-c", FRESH, str(folder), bare.name]
    own = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, input=json.dumps(pairs), stdout=subprocess.PIPE, text=True, check=True, env=own)
    found = {f"{name} again": np.array(said) for name, said in json.loads(ended.stdout).items()}
    for name, run in runs.items():
        logits = pd.read_parquet(run / "logits.parquet").query("split == 'test'")
        assert logits["row_id"].tolist() == rows["row_id"].tolist()
        found[name] = logits[["logit_0", "logit_1"]].to_numpy()
    return found


def test_a_pipeline_reads_pairs_as_training_did(answers, record_fault):
    assert np.abs(answers["decoder again"] - answers["decoder"]).max() < 1e-4
    record_fault(KIND, "pairs for a model like GPT-2, some too long, in transformers' pipeline", "the run's logits")


def test_an_adapter_over_a_base_without_pooler_says_what_the_run_said(answers, record_fault):
    assert np.abs(answers["lora again"] - answers["lora"]).max() < 1e-4
    assert np.abs(answers["adapter again"] - answers["lora"]).max() < 1e-4
    record_fault(KIND, "LoRA on a checkpoint without pooler, its adapter over it anew", "the run's logits")

"""What a run keeps says in a fresh process what the run said: adapters with new weights, and pairs of texts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    CodeGenTokenizer,
    GemmaTokenizer,
    GPT2Tokenizer,
    GPTNeoXTokenizer,
    LlamaTokenizer,
    Qwen2Tokenizer,
)

import stages.finetune
import stages.prepare
from src.core.models.classifier import load_classifier
from src.core.models.encoding import encode
from src.core.models.tokenizer import load_tokenizer
from src.core.training.weights import trained_weights
from src.errors import UserError
from src.params import Lora, ModelSource
from tests.conftest import labelled_texts, params_content, word_tokenizer
from tests.support.tiny_models import save_tiny_model, tiny_config
from tests.support.training import LABELS, TOKENS, adapted

KIND = "kept models"
LONGEST = 16  # tokens; some pairs have more
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


def without_new_weights(source: ModelSource, folder: Path) -> ModelSource:
    """A checkpoint as sentence encoders are: of the backbone alone, without pooler and head."""
    shutil.copytree(source.name, folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: values for name, values in weights.items() if "pooler" not in name and "classifier" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return ModelSource(source="folder", name=str(folder))


@pytest.fixture(scope="module")
def bare(tiny_encoder, tmp_path_factory) -> ModelSource:
    """The tiny BERT without a pooler."""
    return without_new_weights(tiny_encoder, tmp_path_factory.mktemp("bare") / "model")


def kept_run(folder: Path, model: ModelSource, **settings: Any) -> Path:
    """The folder of a run on pairs, some of which are cut, whose model is kept; `settings` are more of the task."""
    (folder / "source").mkdir(parents=True)
    for split, rows, seed in (("train", 160, 0), ("validation", 60, 1)):
        seconds = [row["sentence"] for row in labelled_texts(rows, seed + 2)]
        texts = [row | {"second": second} for row, second in zip(labelled_texts(rows, seed), seconds, strict=True)]
        (folder / f"source/{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    content = params_content()
    task = {"source": "folder", "path": "source", "text": ["sentence", "second"], "metrics": ["accuracy"]}
    content["task_settings"]["tiny"] = task | {"labels": LABELS} | settings
    content["models"]["teacher"] = model.model_dump()
    content["runtime"] |= {"keep_weights": True, "threads": 1}
    content["finetune"]["training"] |= {"epochs": 1, "max_length": LONGEST, "lr": 0.01}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["prepare", "--task", "tiny"])
        stages.prepare.main()
        patch.setattr("sys.argv", ["finetune", "--task", "tiny", "--arm", "ce", "--seed", "0"])
        stages.finetune.main()
    torch.use_deterministic_algorithms(False)
    return folder / "runs/tiny/teacher/ce/0"


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


@pytest.mark.fault
def test_a_pipeline_reads_pairs_as_training_did(answers, record_fault):
    assert np.abs(answers["decoder again"] - answers["decoder"]).max() < 1e-4
    record_fault(KIND, "pairs for a model like GPT-2, some too long, in transformers' pipeline", "the run's logits")


@pytest.mark.fault
def test_an_adapter_over_a_base_without_pooler_says_what_the_run_said(answers, record_fault):
    assert np.abs(answers["lora again"] - answers["lora"]).max() < 1e-4
    assert np.abs(answers["adapter again"] - answers["lora"]).max() < 1e-4
    record_fault(KIND, "LoRA on a checkpoint without pooler, its adapter over it anew", "the run's logits")


@pytest.mark.parametrize("targets", ["all", ["query"]])
@pytest.mark.parametrize("kind", ["bert", "albert", "luke"])
def test_new_weights_are_trained_in_full_with_lora(kind, targets, tmp_path):
    """ALBERT's pooler is one linear layer, and that of the others is in a module of its own."""
    source = adapted(save_tiny_model(kind, word_tokenizer("[PAD]"), tmp_path / "whole"), targets=targets)
    bare = without_new_weights(source, tmp_path / "bare").model_copy(update={"lora": source.lora})
    whole, own = (trained_weights(load_classifier(which, LABELS, 0, 0)) for which in (source, bare))
    in_full = {name for name in own if "pooler" in name}
    assert len(in_full) == 2
    assert all("modules_to_save" in name for name in in_full)
    assert not any("modules_to_save" in name for name in whole if "pooler" in name)


def test_a_student_that_was_cut_leaves_no_adapter(tiny_encoder, tmp_path):
    """Over the whole model peft adds it to the first layers, whichever they were, and logits are others."""
    model = load_classifier(adapted(tiny_encoder).model_copy(update={"layers": [1, 3]}), LABELS, 0, 0).eval()
    for save in model.savers:
        save(tmp_path)
    assert not (tmp_path / "adapter").exists()
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.allclose(merged(**TOKENS).logits, model(**TOKENS).logits, atol=1e-5)


def test_a_model_of_convolutions_is_no_case_for_lora(tmp_path):
    source = save_tiny_model("squeezebert", word_tokenizer("[PAD]"), tmp_path / "whole")
    bare = without_new_weights(source, tmp_path / "bare")
    with pytest.raises(UserError, match="has no linear layer with pre-trained weights; another model, or lora: null"):
        load_classifier(adapted(bare), LABELS, 0, 0)


VOCABULARY = ["<|endoftext|>", "<s>", "</s>", "<unk>", "▁", *sorted(ByteLevel.alphabet())]
TOKENIZERS = {
    "gpt2": GPT2Tokenizer,
    "gpt_neox": GPTNeoXTokenizer,  # makes its template anew when it is loaded
    "qwen2": Qwen2Tokenizer,
    "phi": CodeGenTokenizer,
    "gemma": GemmaTokenizer,
    "llama": LlamaTokenizer,
}


@pytest.mark.parametrize("settings", [{}, {"add_prefix_space": True}, {"truncation_side": "left"}], ids=str)
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_kept_tokenizers_read_pairs_and_texts_as_they_did(kind, settings, tmp_path):
    numbers = {token: number for number, token in enumerate(VOCABULARY)}
    tokens = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    made = TOKENIZERS[kind](vocab=numbers, merges=[], **tokens, **settings)
    made.save_pretrained(tmp_path / "model")
    for name in ("model", "kept"):
        tiny_config(kind).save_pretrained(tmp_path / name)
    (tmp_path / "model/model.safetensors").touch()
    source = ModelSource(source="folder", name=str(tmp_path / "model"))
    plain, pairs = load_tokenizer(source), load_tokenizer(source, pairs=True)
    pairs.save_pretrained(tmp_path / "kept")
    kept = AutoTokenizer.from_pretrained(tmp_path / "kept")
    for row in [("ab", "cd"), ("abcdefghij", "k"), ("a b", "cdefghijklmn"), ("", "x"), ("a b", ""), ("a  b ",)]:
        found = kept(*([text] for text in row), truncation=True, max_length=8)["input_ids"][0]
        assert found == encode([row], pairs, 8).ids.tolist()
        assert found.count(2) == len(row) - 1
    assert encode([("a  b ",)], pairs, 8).ids.tolist() == encode([("a  b ",)], plain, 8).ids.tolist()


def test_a_kept_tokenizer_pads_on_the_right(tiny_decoder, tmp_path):
    """As training does; on the left, GPT-2 would count its positions from the padding."""
    shutil.copytree(tiny_decoder.name, tmp_path / "model")
    path = tmp_path / "model/tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding_side": "left"}))
    for pairs in (False, True):
        tokenizer = load_tokenizer(ModelSource(source="folder", name=str(tmp_path / "model")), pairs=pairs)
        tokenizer.save_pretrained(tmp_path / "kept")
        assert AutoTokenizer.from_pretrained(tmp_path / "kept").padding_side == "right"


def test_what_was_kept_of_a_regression_does_not_change_what_a_pipeline_says(tiny_encoder, tmp_path):
    shutil.copytree(tiny_encoder.name, tmp_path / "model")
    path = tmp_path / "model/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"problem_type": "regression"}))
    model = load_classifier(ModelSource(source="folder", name=str(tmp_path / "model")), LABELS, 0, 0)
    assert model.model.config.problem_type == "single_label_classification"

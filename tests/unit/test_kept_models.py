"""Models that a run keeps: new weights beside LoRA, and tokenizers that read texts as in training."""

import json
import shutil

import pytest
import torch
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

from src.core.models.classifier import load_classifier
from src.core.models.encoding import encode
from src.core.models.tokenizer import load_tokenizer
from src.core.models.trained_weights import trained_weights
from src.params import ModelSource
from src.system.errors import UserError
from tests.conftest import word_tokenizer
from tests.support.kept_run import without_new_weights
from tests.support.tiny_models import save_tiny_model, tiny_config
from tests.support.training import LABELS, TOKENS, adapted


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
    with pytest.raises(
        UserError, match="has no linear layer with pre-trained weights; use another model, or set lora to null"
    ):
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

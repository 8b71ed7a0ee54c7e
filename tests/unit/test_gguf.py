"""A model in a GGUF file, as language models are often passed on: read by transformers, then trained as any other."""

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from src.core.models.classifier import load_classifier
from src.core.models.encoding import encode
from src.core.models.tokenizer import load_tokenizer
from src.params import Lora, ModelSource
from src.system.errors import UserError

WIDTH, HIDDEN, LAYERS, HEADS = 32, 64, 4, 2
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
TOKENS = ["<unk>", "<s>", "</s>", "Ġ", *LETTERS, "go", "od"]
LAYER = {
    "attn_norm": (WIDTH,),
    **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH)),
    "ffn_norm": (WIDTH,),
    **dict.fromkeys(("ffn_gate", "ffn_up"), (HIDDEN, WIDTH)),
    "ffn_down": (WIDTH, HIDDEN),
}


@pytest.fixture
def source(tmp_path) -> ModelSource:
    """A Llama with random weights."""
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_merges(["g o", "o d"])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    shapes = {"token_embd": (len(TOKENS), WIDTH), "output_norm": (WIDTH,)}
    shapes |= {f"blk.{layer}.{name}": shape for layer in range(LAYERS) for name, shape in LAYER.items()}
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(size=shape).astype(np.float32) / 4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return ModelSource(source="folder", name=str(tmp_path))


def test_it_has_the_weights_of_the_file_and_the_tokens_too(source, capfd):
    table = next(
        part for part in gguf.GGUFReader(f"{source.name}/tiny.gguf").tensors if part.name == "token_embd.weight"
    )
    model = load_classifier(source, ["no", "yes"], 2, 0).model
    assert torch.equal(model.get_input_embeddings().weight.detach(), torch.tensor(table.data))
    tokenizer = load_tokenizer(source)
    assert encode([("good",)], tokenizer, 8).ids.tolist() == [TOKENS.index("go"), TOKENS.index("od")]
    assert capfd.readouterr() == ("", "")


def test_students_are_cut_from_it_and_what_they_save_is_safetensors(source, tmp_path):
    """With LoRA, merged."""
    student = source.model_copy(update={"layers": [0, 2], "lora": Lora(rank=2, alpha=4)})
    model = load_classifier(student, ["no", "yes"], 2, 0).eval()
    inputs = {"input_ids": torch.tensor([[4, 5, 6]]), "attention_mask": torch.ones(1, 3).long()}
    expected = model(**inputs).logits
    for save in model.savers:
        save(tmp_path / "saved")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert loaded.config.num_hidden_layers == 2
    assert torch.allclose(loaded(**inputs).logits, expected, atol=1e-5)
    assert not list((tmp_path / "saved").glob("*.gguf"))


def test_a_damaged_file_is_told_in_one_line(source, tmp_path):
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF but not")
    with pytest.raises(UserError, match=r"cannot be loaded \(.*; use a complete folder of a Hugging Face text model"):
        load_classifier(source, ["no", "yes"], 2, 0)


def test_of_two_files_none_is_chosen(source, tmp_path):
    (tmp_path / "other.gguf").write_bytes(b"")
    with pytest.raises(UserError, match=r"has 2 \.gguf files; keep one of them"):
        load_tokenizer(source)

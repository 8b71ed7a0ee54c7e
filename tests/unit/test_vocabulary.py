"""A model with the embeddings in use only says what the whole model says, learns the same, and can be made whole."""

import json
import shutil

import pytest
import torch
from transformers import RobertaConfig, RobertaForSequenceClassification

from src.core.models.classifier import Classifier, load_classifier
from src.core.models.encoding import encode
from src.core.models.head_input import HeadInput, first_token
from src.core.models.tokenizer import load_tokenizer
from src.core.speed.vocabulary import CompactVocabulary
from src.params import ModelSource

TEXTS = [("the film was good",), ("a bad plot",), ("good music",)]  # 8 words, and three or four special tokens


@pytest.mark.parametrize(("name", "kept"), [("tiny_encoder", 11), ("tiny_distilbert", 11), ("tiny_decoder", 12)])
def test_outputs_and_gradients_are_those_of_the_whole_model(name, kept, request):
    source = request.getfixturevalue(name)
    tokenizer = load_tokenizer(source)
    split = encode(TEXTS, tokenizer, 16)
    whole, cut = (load_classifier(source, ["a", "b"], tokenizer.pad_token_id, 0).eval() for _ in range(2))
    vocabulary = CompactVocabulary(cut.model, [split], tokenizer.pad_token_id)
    assert cut.model.get_input_embeddings().weight.shape == (kept, 32)
    expected = whole(**split.batch(torch.arange(3))).logits
    logits = cut(**vocabulary.numbered(split).batch(torch.arange(3))).logits
    assert torch.equal(logits, expected)
    expected.square().sum().backward()
    logits.square().sum().backward()
    gradient = whole.model.get_input_embeddings().weight.grad
    assert torch.equal(cut.model.get_input_embeddings().weight.grad, gradient[vocabulary.tokens])
    others = torch.ones(64, dtype=torch.bool).index_fill(0, vocabulary.tokens, False)
    assert not gradient[others].any()


def test_the_whole_table_comes_back_with_what_was_learnt(tiny_encoder):
    tokenizer = load_tokenizer(tiny_encoder)
    split = encode(TEXTS, tokenizer, 16)
    model = load_classifier(tiny_encoder, ["a", "b"], 0, 0).model
    before = model.get_input_embeddings().weight.detach().clone()
    vocabulary = CompactVocabulary(model, [split], 0)
    with torch.no_grad():
        model.get_input_embeddings().weight += 1.0
    vocabulary.restore()
    after = model.get_input_embeddings().weight.detach()
    changed = (after != before).all(dim=1).nonzero().squeeze(1)
    assert torch.equal(changed, vocabulary.tokens)
    assert torch.allclose(after[changed], before[changed] + 1.0)


def test_another_pad_token_in_the_table_than_in_the_tokenizer(tiny_encoder, tmp_path):
    """Early LLaMAs have -1 there, which the table takes for its last token."""
    shutil.copytree(tiny_encoder.name, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token_id": -1}))
    source = ModelSource(source="folder", name=str(tmp_path / "model"))
    split = encode(TEXTS, load_tokenizer(source), 16)
    model = load_classifier(source, ["a", "b"], 0, 0).eval()
    expected = model(**split.batch(torch.arange(3))).logits
    vocabulary = CompactVocabulary(model.model, [split], 0)
    assert torch.equal(model(**vocabulary.numbered(split).batch(torch.arange(3))).logits, expected)
    assert model.model.get_input_embeddings().padding_idx == len(vocabulary.tokens) - 1
    vocabulary.restore()
    assert model.model.get_input_embeddings().padding_idx == 63


def test_tokens_that_the_models_code_asks_for_keep_their_numbers():
    """RoBERTa counts positions from its padding token, number 1."""
    config = RobertaConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    torch.manual_seed(0)
    model = Classifier(RobertaForSequenceClassification(config).eval(), HeadInput("last_hidden_state", first_token))
    ids = torch.tensor([[0, 40, 50, 2], [0, 60, 2, 1]])
    mask = (ids != 1).long()
    expected = model(input_ids=ids, attention_mask=mask).logits
    from src.core.models.encoding import EncodedSplit

    lengths = torch.tensor([4, 3])
    split = EncodedSplit(
        torch.tensor([0, 40, 50, 2, 0, 60, 2], dtype=torch.int32), None, torch.tensor([0, 4]), lengths, 1
    )
    vocabulary = CompactVocabulary(model.model, [split], pad_id=1)
    assert vocabulary.tokens.tolist() == [0, 1, 2, 40, 50, 60]
    inputs = vocabulary.numbered(split).batch(torch.arange(2))
    assert inputs["input_ids"].tolist() == [[0, 3, 4, 2], [0, 5, 2, 1]]
    assert torch.equal(model(**inputs).logits, expected)

"""Training passes as CUDA graphs: padding needs no GPU, capturing does."""

import pytest
import torch

from src.core.models.classifier import Classifier, load_classifier
from src.core.speed.cuda_graphs import pad_to_multiple, replay_training

PAD = 0
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture
def classifier(tiny_encoder) -> Classifier:
    model = load_classifier(tiny_encoder, ["no", "yes"], PAD, seed=0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model.train()


def batch(tokens: int, rows: int = 3) -> dict[str, torch.Tensor]:
    ids = torch.arange(rows * tokens).reshape(rows, tokens) % 20 + 5
    mask = torch.ones(rows, tokens, dtype=torch.long)
    mask[0, tokens // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


def gradients(model: Classifier, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    model.zero_grad()
    outputs = model(**inputs)
    (outputs.logits.sum() + outputs.features.square().sum()).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


def test_padding_to_a_multiple_of_16_tokens_changes_neither_outputs_nor_gradients(classifier):
    inputs = batch(tokens=10)
    padded = pad_to_multiple(inputs, PAD)
    assert {values.shape for values in padded.values()} == {(3, 16)}
    assert padded["input_ids"][:, 10:].eq(PAD).all()
    assert padded["attention_mask"].sum() == inputs["attention_mask"].sum()
    for found, true in zip(classifier(**padded), classifier(**inputs), strict=True):
        torch.testing.assert_close(found, true)
    torch.testing.assert_close(gradients(classifier, padded), gradients(classifier, inputs))


def test_a_batch_that_fits_stays_as_it_is():
    inputs = batch(tokens=32)
    for name, values in pad_to_multiple(inputs, PAD).items():
        assert values.equal(inputs[name])


@needs_gpu
def test_replayed_passes_give_the_outputs_and_gradients_of_eager_ones(classifier):
    classifier.cuda()
    batches = [{name: values.cuda() for name, values in batch(tokens).items()} for tokens in (10, 20, 10, 16)]
    # Detached: an eager pass that is still alive keeps parameters on a stream that must not be captured.
    eager = [(*(part.detach() for part in classifier(**inputs)), gradients(classifier, inputs)) for inputs in batches]
    replay_training(classifier, PAD)
    for inputs, truths in zip(batches, eager, strict=True):
        for found, true in zip((*classifier(**inputs), gradients(classifier, inputs)), truths, strict=True):
            torch.testing.assert_close(found, true, rtol=1e-4, atol=1e-5)

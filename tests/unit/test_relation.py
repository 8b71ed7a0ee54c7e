"""The relation loss: how the last layers of student and teacher relate tokens (MiniLM)."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch.autograd import gradcheck
from transformers import AutoModelForSequenceClassification

from src.core.method.batch import Batch, Processes
from src.core.method.objectives import RunObjective
from src.core.method.relations import LastLayer, relation_losses
from src.core.method.spaces import Outputs
from src.core.models.classifier import load_classifier
from src.core.models.last_attention import PROJECTIONS, LastAttention, NoAttention, RelationTeacher
from src.core.speed.vocabulary import CompactVocabulary
from src.core.training.loop import Setup
from src.core.training.phases import train
from src.params import Objective
from tests.conftest import word_tokenizer
from tests.support.objectives import BASE, batch, last_layer
from tests.support.tiny_models import save_tiny_model
from tests.support.training import LABELS, TOKENS, TWO_EPOCHS, Killed, KilledAt, adapted, data_for

pytestmark = pytest.mark.usefixtures("one_thread")

PADDED = TOKENS | {"attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])}


def one_head(queries: list[float], keys: list[float], values: list[float]) -> LastLayer:
    """One text, one head, width 1."""
    states = (torch.tensor(numbers, dtype=torch.float64).view(1, 1, -1, 1) for numbers in (queries, keys, values))
    return LastLayer(*states, torch.ones(1, len(keys)).bool())


def test_known_tokens_have_their_closed_form():
    """Attention (0.8, 0.2) against (0.5, 0.5): 0.8 ln 1.6 + 0.2 ln 0.4 = 0.19274 nats.

    Values: the first token relates as (0.8, 0.2), the second as (0.5, 0.5), so their mean is half of that.
    """
    even = one_head([1, 1], [0, 0], [0, 0])
    assert relation_losses(even, one_head([1, 1], [math.log(4), 0], [0, 0])).item() == pytest.approx(0.19274, abs=1e-5)
    of_values = relation_losses(even, one_head([1, 1], [0, 0], [math.log(4) ** 0.5, 0])).item()
    assert of_values == pytest.approx(0.19274 / 2, abs=1e-5)


def test_the_loss_is_that_of_a_plain_formula():
    """Loops over rows, heads and tokens in NumPy; models of different widths."""

    def relations(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        scores = np.exp(left @ right.T / np.sqrt(left.shape[1]))
        return scores / scores.sum(axis=1, keepdims=True)

    student, teacher = last_layer(0), last_layer(1, width=6)
    for row, found in enumerate(relation_losses(student, teacher)):
        kls = []
        for of, to in (("query", "key"), ("value", "value")):
            for head in range(2):
                p, q = (
                    relations(*(getattr(one, name)[row, head, : 5 - row].numpy() for name in (of, to)))
                    for one in (teacher, student)
                )
                kls.append((p * np.log(p / q)).sum(axis=1).mean())
        assert found.item() == pytest.approx(sum(kls) / 2, rel=1e-12)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_states_in_half_precision_are_related_in_float32(precision):
    rounded = [
        LastLayer(*(states.to(precision) for states in one[:3]), one.known)
        for one in (last_layer(0), last_layer(1, width=6))
    ]
    exact = [LastLayer(*(states.double() for states in one[:3]), one.known) for one in rounded]
    assert torch.allclose(relation_losses(*rounded).double(), relation_losses(*exact), rtol=1e-6)


def test_padding_changes_nothing():
    student, teacher = last_layer(0, tokens=7), last_layer(1, tokens=7)
    known = torch.ones(3, 7).bool()
    known[:, 5:] = False
    padded = relation_losses(student._replace(known=known), teacher._replace(known=known))
    cut = [LastLayer(*(states[:, :, :5] for states in one[:3]), known[:, :5]) for one in (student, teacher)]
    assert torch.allclose(padded, relation_losses(*cut), rtol=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    student, teacher = last_layer(0), last_layer(1)
    leaves = [states.requires_grad_() for states in student[:3]]
    assert gradcheck(lambda *states: relation_losses(LastLayer(*states, student.known), teacher), leaves)


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_recorded_queries_and_keys_give_the_models_own_attention(kind, tmp_path):
    """Its last layer's attention, as transformers returns it. MPNet adds a bias for positions to the scores."""
    source = save_tiny_model(kind, word_tokenizer("[PAD]"), tmp_path)
    model = load_classifier(source, LABELS, 0, 0).eval()
    recorded = LastAttention(model.model)
    model(**PADDED)
    found = recorded.take(PADDED["attention_mask"])
    eager = AutoModelForSequenceClassification.from_pretrained(source.name, attn_implementation="eager").eval()
    expected = eager(**PADDED, output_attentions=True).attentions[-1]
    scores = found.query @ found.key.transpose(2, 3) / found.query.shape[-1] ** 0.5
    if kind == "mpnet":
        scores = scores + model.model.mpnet.encoder.compute_position_bias(torch.zeros(2, 5, 1))
    own = scores.masked_fill(~found.known[:, None, None], -math.inf).softmax(dim=-1)
    assert torch.allclose(own, expected, atol=1e-5)
    assert own.std() > 0.01  # not uniform, which any states could give


def test_a_teacher_equal_to_its_student_has_no_loss_and_gets_no_gradient(tiny_encoder):
    student, teacher = (load_classifier(tiny_encoder, LABELS, 0, 0) for _ in range(2))
    relations = RelationTeacher(student.eval(), teacher.train())
    student(**PADDED)
    both = relations.last_layers(PADDED)
    losses = relation_losses(*both)
    assert losses.abs().max() < 1e-6
    (losses.sum() + both[0].value.sum()).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in student.parameters())
    assert all(weight.grad is None for weight in teacher.parameters())
    assert not relations.of_student._seen
    assert not relations.of_teacher._seen


def test_a_teacher_reads_the_students_tokens_whatever_its_own_config_names(tiny_encoder):
    """Numbers of tokens follow the student's vocabulary: the teacher's config names a token beyond the student's."""
    student, teacher = (load_classifier(tiny_encoder, LABELS, 0, 0).eval() for _ in range(2))
    teacher.model.config.eos_token_id = 20
    tokens = data_for(tiny_encoder).train.tokens
    rows = torch.arange(8)
    expected = teacher(**tokens.batch(rows)).logits
    vocabulary = CompactVocabulary(student.model, [tokens], 0)
    vocabulary.cut(teacher.model)
    assert len(teacher.model.get_input_embeddings().weight) == len(vocabulary.tokens) < 64
    assert torch.equal(teacher(**vocabulary.numbered(tokens).batch(rows)).logits, expected)


@pytest.mark.parametrize("adapted_one", ["student", "teacher"])
def test_low_rank_updates_of_queries_count(tiny_encoder, adapted_one):
    """A model with LoRA on all layers relates tokens as its updated weights do."""
    sources = {"student": tiny_encoder, "teacher": tiny_encoder} | {adapted_one: adapted(tiny_encoder)}
    models = {name: load_classifier(source, LABELS, 0, 0).eval() for name, source in sources.items()}
    relations = RelationTeacher(*models.values())
    models["student"](**PADDED)
    assert relation_losses(*relations.last_layers(PADDED)).abs().max() < 1e-6  # an update begins at 0
    with torch.no_grad():
        for name, weights in models[adapted_one].named_parameters():
            if "lora_B" in name:
                weights.fill_(0.3)
    models["student"](**PADDED)
    assert relation_losses(*relations.last_layers(PADDED)).min() > 1e-4


def test_models_without_known_attention_or_with_other_heads_are_refused(tiny_encoder, tiny_decoder, tmp_path):
    encoder, decoder = (load_classifier(source, LABELS, 0, 0) for source in (tiny_encoder, tiny_decoder))
    with pytest.raises(NoAttention, match="a gpt2 model is none of albert, bert, "):
        RelationTeacher(decoder, encoder)
    heads = encoder.model.config.num_attention_heads
    source = save_tiny_model("bert", word_tokenizer("[PAD]"), tmp_path, num_attention_heads=2 * heads)
    other = load_classifier(source, LABELS, 0, 0)
    with pytest.raises(NoAttention, match=f"they have {heads} and {2 * heads} heads"):
        RelationTeacher(encoder, other)


@pytest.mark.parametrize("own_rows", [[1, 4], [0, 3, 5]])
def test_parts_and_processes_give_the_loss_of_one(own_rows):
    """Parts add up; data-parallel training averages."""
    settings = Objective(**{**BASE, "alpha": 0.5, "relation_weight": 2.0})
    outputs, labels, teacher = batch(rows=6)
    student, other = last_layer(0, rows=6, tokens=8), last_layer(1, rows=6, tokens=8)
    groups = [torch.tensor(own_rows), torch.tensor([row for row in range(6) if row not in own_rows])]

    def found(rows: torch.Tensor, processes: int) -> float:
        layers = tuple(LastLayer(*(states[rows] for states in one)) for one in (student, other))
        own = Batch(labels[rows], teacher[rows], 6, 6, last_layers=layers)
        objective = RunObjective(settings, 3, Processes(processes))
        return objective(Outputs(*(values[rows] for values in outputs)), own).terms["relation"].item() / processes

    whole = found(torch.arange(6), 1)
    assert whole == pytest.approx(relation_losses(student, other).mean().item(), rel=1e-6)
    for processes in (1, 2):
        assert found(groups[0], processes) + found(groups[1], processes) == pytest.approx(whole, rel=1e-6)


def distilled(source, weight: float, checkpoints=None):
    """A student that trains beside a teacher with other weights, and the result of its training."""
    teacher = load_classifier(source, LABELS, 0, 1)
    with torch.no_grad():
        for weights in teacher.parameters():
            weights.mul_(1.5)
    student = load_classifier(source, LABELS, 0, 0)
    data = data_for(source, teacher_logits=torch.zeros(160, 2))
    setup = Setup(student, data, 0, Accelerator(cpu=True))
    setup = replace(setup, relations=RelationTeacher(student, teacher))
    objective = Objective(**{**BASE, "alpha": 0.1, "relation_weight": weight})
    return student, train(setup, objective, TWO_EPOCHS, checkpoints)


def test_a_weight_brings_the_layers_together(tiny_encoder):
    free, bound = (distilled(tiny_encoder, weight)[1].history for weight in (1e-9, 10.0))
    assert 0 < bound[-1]["loss_relation"] < 0.5 * free[-1]["loss_relation"]


def test_a_killed_run_goes_on_to_the_same_weights(tiny_encoder, tmp_path):
    whole, result = distilled(tiny_encoder, 1.0)
    with pytest.raises(Killed):
        distilled(tiny_encoder, 1.0, KilledAt(tmp_path, 7))
    resumed, second = distilled(tiny_encoder, 1.0, KilledAt(tmp_path, -1))
    assert (second.resumed_at, second.history) == (7, result.history)
    assert all(
        torch.equal(*both) for both in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )

"""The temperature that gives one teacher the CMI of another."""

import numpy as np
import pytest
import torch

from src.core.method.cmi import measure
from src.core.training.teachers import matched_in_cmi, temperature_for_cmi


def logits_and_labels(scale: float):
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=400)
    logits = scale * (np.eye(2)[labels] * 1.5 + generator.standard_normal((400, 2)))
    return logits.astype(np.float32), labels


def class_cmi(logits, labels) -> float:
    return measure(torch.tensor(logits), torch.tensor(labels), 2).cmi


def test_a_scaled_copy_is_matched_by_its_scale():
    logits, labels = logits_and_labels(1.0)
    assert temperature_for_cmi(logits, labels, class_cmi(logits / 1.7, labels)) == pytest.approx(1.7, rel=1e-3)


def test_matched_logits_have_the_cmi_of_the_other_teacher():
    plain, labels = logits_and_labels(1.0)
    like = logits_and_labels(1.4)[0]
    assert class_cmi(like, labels) > class_cmi(plain, labels) + 0.01
    more = np.concatenate([plain, plain[:30]])  # transfer rows follow the labelled ones
    matched, match = matched_in_cmi(more, like, labels)
    assert class_cmi(matched[: len(labels)], labels) == pytest.approx(class_cmi(like, labels), abs=1e-5)
    assert matched == pytest.approx(more / match.temperature)
    assert match.temperature < 1
    assert match.reached == pytest.approx(match.target, abs=1e-5)


def test_a_cmi_out_of_reach_gets_the_nearest():
    logits, labels = logits_and_labels(1.0)
    best = temperature_for_cmi(logits, labels, 5.0)
    at_best = class_cmi(logits / best, labels)
    assert all(class_cmi(logits / other, labels) <= at_best + 1e-6 for other in (0.1, 0.3, 1.0, 3.0))

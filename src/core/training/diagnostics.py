"""Measures of a model after each epoch."""

import math

import numpy as np
from accelerate import Accelerator
from torch import Tensor

from src.core.method.cmi import measure
from src.core.method.spaces import Outputs, measure_features, names_of_maps
from src.core.metrics import nll_rows, task_scores
from src.core.models.classifier import Classifier
from src.core.training.batches import TrainingData
from src.core.training.inference import predict
from src.params import FeatureMap


def diagnose(
    model: Classifier, data: TrainingData, feature_map: FeatureMap, accelerator: Accelerator
) -> dict[str, float]:
    """Scores on selection, and CMI in both spaces (nats, at tau = 1) on selection and the diagnostic train rows."""
    splits = {"train": data.diagnostic, "selection": data.selection}
    outputs = {name: predict(model, split.tokens, accelerator) for name, split in splits.items()}
    row = {}
    for name, split in splits.items():
        row |= cmi_metrics(name, outputs[name], split.labels, data.num_classes, feature_map)
    labels, logits = data.selection.labels.numpy(), outputs["selection"].logits.numpy()
    scores = task_scores(data.metrics, labels, logits) | {"nll": float(nll_rows(labels, logits).mean())}
    return row | {f"selection_{name}": value for name, value in scores.items()}


def cmi_metrics(
    name: str, outputs: Outputs, labels: Tensor, num_classes: int, feature_map: FeatureMap
) -> dict[str, float]:
    """CMI (and its logarithm), Gamma and NCMI of outputs in both spaces at tau = 1, and the length of h.

    Feature space is softmax(h) for all runs. A run with another map also has the measures of that map.

    Feature-space CMI has another scale than class-space CMI and shrinks with h (docs/method.md, "A weight that means
    the same across models"). Its logarithm makes it visible in plots. The mean length of h and its standard deviation
    over samples show where a change comes from.
    """
    row = {}
    spaces = {"class": measure(outputs.logits, labels, num_classes)}
    spaces |= {
        space: measure_features(outputs.features, labels, num_classes, own)
        for space, own in names_of_maps(feature_map).items()
    }
    for space, measures in spaces.items():
        row |= {f"{name}_{space}_{key}": value for key, value in measures._asdict().items()}
        row[f"{name}_{space}_log_cmi"] = math.log(max(measures.cmi, np.finfo(float).tiny))
    norms = outputs.features.double().norm(dim=1)
    return row | {f"{name}_feature_norm": float(norms.mean()), f"{name}_feature_norm_std": float(norms.std())}

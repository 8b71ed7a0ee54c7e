"""The distribution p_x whose CMI is taken: from a row's logits, or from the vector h that enters the head.

| space   | feature_map  | p_x                                                                     |
|---------|--------------|-------------------------------------------------------------------------|
| class   |              | softmax(logits / tau), as in CMIC-DL (arXiv 2309.09123)                 |
| feature | softmax      | softmax(h / tau), our reading of arXiv 2502.11258                       |
| feature | unit_softmax | softmax(u / tau)                                                        |
| feature | unit_sigmoid | sigmoid(u / tau) over its sum, as in the code of NCMI (arXiv 2601.02543) |

u = (h - m) / |h - m|, with m the mean of h over all rows. So u does not depend on the length of h. CMI of softmax(h)
falls when h shrinks, although no class becomes more compact: docs/method.md, CMI without the length.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from src.core.method.centroids import EmaCentroids
from src.core.method.cmi import ClassSums, CmiMeasures, class_sums, log_probabilities, measure_log, wide_enough
from src.params import FeatureMap, Objective

# As in NCMI's code. With our bias-corrected start, the average in a short run is the mean of all batches.
CENTRE_MOMENTUM = 0.9999
SHORTEST = 1e-4  # least |h - m| to divide by: a vector at the centre would have a gradient without bound


class Outputs(NamedTuple):
    """A classifier's outputs for N rows: logits (N, C), and the vectors h that enter its head (N, d)."""

    logits: Tensor
    features: Tensor


def log_feature_probabilities(features: Tensor, feature_map: FeatureMap, centre: Tensor | None, tau: float) -> Tensor:
    """log p_x (N, d) of features (N, d); `centre` (1, d) is m, which `softmax` does not need."""
    if feature_map == "softmax":
        return log_probabilities(features, tau)
    assert centre is not None  # every caller with a unit map passes one
    unit = F.normalize(wide_enough(features, tau) - centre, dim=-1, eps=SHORTEST)
    if feature_map == "unit_softmax":
        return log_probabilities(unit, tau)
    return log_probabilities(F.logsigmoid(unit / tau), 1.0)


def measure_features(
    features: Tensor, labels: Tensor, num_classes: int, feature_map: FeatureMap = "softmax"
) -> CmiMeasures:
    """CMI, Gamma and NCMI of finished features (N, d) at tau = 1, with their exact mean and the exact centroids."""
    wide = features.double()
    log_p = log_feature_probabilities(wide, feature_map, wide.mean(dim=0, keepdim=True), 1.0)
    return measure_log(log_p, labels, num_classes)


def names_of_maps(feature_map: FeatureMap) -> dict[str, FeatureMap]:
    """The maps by which a run's features are measured, by their name in tables: softmax, and the run's own map."""
    return {"feature": "softmax"} | ({} if feature_map == "softmax" else {feature_map: feature_map})


class OutputSpace:
    """log p_x in the space of an objective.

    While a run trains, m is a moving mean over its batches. No gradient flows through m.

    Args:
        add: adds up a tensor over processes.
        parts: number of parts of a batch. m forgets at the same rate as without parts.
    """

    def __init__(self, settings: Objective, add: Callable[[Tensor], Tensor], parts: int) -> None:
        self.settings = settings
        self.add = add
        self.centre = EmaCentroids(CENTRE_MOMENTUM ** (1 / parts))  # of one class, which has all rows

    def centre_of_batch(self, outputs: Outputs) -> Tensor | None:
        """Take in a batch's labelled rows, of all processes, and return m (1, d); None if the map has no m."""
        if not self._is_centred:
            return None
        sums = _as_one_class(outputs.features.detach().float())
        return self.centre.update(ClassSums(*map(self.add, sums)))

    def log_p(self, outputs: Outputs, centre: Tensor | None, tau: float) -> Tensor:
        """log p (n, D) of n rows, at a temperature."""
        if self.settings.space == "class":
            return log_probabilities(outputs.logits, tau)
        return log_feature_probabilities(outputs.features, self.settings.feature_map, centre, tau)

    def p_of_split(self, outputs: Outputs, tau: float) -> Tensor:
        """p (N, D) of a whole split, with the current m. Before the first batch, m is the mean of these rows."""
        if not self._is_centred:
            return self.log_p(outputs, None, tau).exp()
        mean = outputs.features.mean(dim=0, keepdim=True)
        return self.log_p(outputs, self.centre.value.to(mean.device) if len(self.centre.average) else mean, tau).exp()

    @property
    def _is_centred(self) -> bool:
        return self.settings.space == "feature" and self.settings.feature_map != "softmax"


def _as_one_class(features: Tensor) -> ClassSums:
    everyone = torch.zeros(len(features), dtype=torch.long, device=features.device)
    return class_sums(features, everyone, 1)

"""The affine map of a teacher's logits with the least NLL + weight * CMI.

It follows arXiv 2602.03396, which learns a linear map to lower the CMI of a language model's logits
(docs/distillation.md, Teachers changed after training).
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from src.core.method.cmi import class_means, class_sums, kl_to_centroids, log_probabilities

LEAST_SPREAD = 1e-4  # share of the widest direction's spread; narrower ones hold the rounding of float32 logits
SETTLED = 1e-9  # largest change of a logit by the last step
MOST_STEPS = 10  # Newton's steps after L-BFGS-B; two are usual


@dataclass(frozen=True)
class AffineMap:
    """The map of z to A z + b, with `matrix` A (C, C) and `offset` b (C,) in float64."""

    matrix: np.ndarray
    offset: np.ndarray

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Map logits (N, C)."""
        return logits @ self.matrix.T + self.offset


def fitted_map(logits: np.ndarray, labels: np.ndarray, cmi_weight: float) -> AffineMap | None:
    """The map with the least mean NLL + cmi_weight * class-space CMI of the mapped logits.

    The search starts from the identity. L-BFGS-B comes near the minimum, and Newton's method reaches it, so the result
    does not depend on the order of rows. With a negative weight there may be several minima. Among maps with the same
    probabilities, the result adds the least to the logits.

    Args:
        logits: (N, C).
        labels: (N,).
        cmi_weight: > 0 lowers CMI, compared with the map of weight 0.

    Returns:
        None if no minimum is found. If a map gets every label right, none exists, because a larger map is better.
    """
    from scipy.optimize import minimize  # takes a quarter second, which only mapped runs spend

    maps = _Maps(torch.tensor(logits, dtype=torch.float64), torch.tensor(labels), cmi_weight)
    near = minimize(
        maps.loss_and_gradient,
        np.zeros(maps.inputs.shape[1] * maps.basis.shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 1000, "ftol": 0.0, "gtol": 1e-7},
    )
    weights = _minimum(maps, torch.tensor(near.x))
    return None if weights is None else maps.affine(weights)


class _Maps:
    """Maps of logits as identity + correction. Different weights give different probabilities.

    A correction adds no constant to all logits of a row (`basis`, (C, C - 1)). It is linear in `inputs` (N, R + 1): the
    centred logits along their principal directions, in units of their spread, and a column of ones.
    """

    def __init__(self, logits: Tensor, labels: Tensor, cmi_weight: float) -> None:
        self.logits, self.labels, self.cmi_weight = logits, labels, cmi_weight
        rows, self.classes = logits.shape
        self.mean = logits.mean(dim=0)
        _, spread, directions = torch.linalg.svd(logits - self.mean, full_matrices=False)
        kept = spread > LEAST_SPREAD * spread[0]
        self.whitening = directions[kept].T * (rows**0.5 / spread[kept])
        ones = torch.ones(rows, 1, dtype=logits.dtype)
        self.inputs = torch.cat([(logits - self.mean) @ self.whitening, ones], dim=1)
        centring = torch.eye(self.classes, dtype=logits.dtype) - 1 / self.classes
        self.basis = torch.linalg.svd(centring)[0][:, :-1]

    def correction(self, weights: Tensor) -> Tensor:
        """The correction that the map adds to the logits: (N, C)."""
        return self.inputs @ self._matrix(weights)

    def loss(self, weights: Tensor) -> Tensor:
        """NLL + cmi_weight * CMI with exact centroids. Gradients flow through the centroids."""
        log_p = log_probabilities(self.logits + self.correction(weights), 1.0)
        centroids = class_means(class_sums(log_p.exp(), self.labels, self.classes))
        return F.nll_loss(log_p, self.labels) + self.cmi_weight * kl_to_centroids(log_p, self.labels, centroids).mean()

    def loss_and_gradient(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient, for scipy."""
        leaf = torch.tensor(weights, requires_grad=True)
        loss = self.loss(leaf)
        return loss.item(), torch.autograd.grad(loss, leaf)[0].numpy()

    def affine(self, weights: Tensor) -> AffineMap:
        """The map that has these weights."""
        slope, offset = self.whitening @ self._matrix(weights)[:-1], self._matrix(weights)[-1]
        matrix = torch.eye(self.classes, dtype=slope.dtype) + slope.T
        return AffineMap(matrix.numpy(), (offset - self.mean @ slope).numpy())

    def _matrix(self, weights: Tensor) -> Tensor:
        return weights.reshape(self.inputs.shape[1], -1) @ self.basis.T


def _minimum(maps: _Maps, weights: Tensor) -> Tensor | None:
    """The minimum near these weights; None if the loss is not convex there or Newton's steps do not settle.

    A step takes one backward pass for each weight. C classes have C^2 - 1 weights.
    """
    for _ in range(MOST_STEPS):
        gradient = torch.tensor(maps.loss_and_gradient(weights.numpy())[1])
        hessian: Tensor = torch.autograd.functional.hessian(maps.loss, weights)
        factor, failed = torch.linalg.cholesky_ex(hessian)
        if failed:
            return None
        step = torch.cholesky_solve(gradient[:, None], factor)[:, 0]
        weights = weights - step
        if maps.correction(step).abs().max() < SETTLED:
            return weights
    return None

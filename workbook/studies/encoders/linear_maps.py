"""Ridge regression in closed form: the linear map by which encoders are read."""

from dataclasses import dataclass

import torch
from torch import Tensor

PENALTIES = tuple(10.0**power for power in range(-5, 3))
"""Tried, as multiples of the mean variance of the inputs."""


@dataclass(frozen=True)
class LinearMap:
    """``y = (x - x_mean) @ weight + y_mean``; ``penalty`` is the chosen one of PENALTIES."""

    x_mean: Tensor
    y_mean: Tensor
    weight: Tensor
    penalty: float

    def __call__(self, x: Tensor) -> Tensor:
        return (x.double() - self.x_mean) @ self.weight + self.y_mean


def fit_ridge(x: Tensor, y: Tensor) -> LinearMap:
    """The ridge regression of ``y`` (n, k) on ``x`` (n, d) whose penalty has the least leave-one-out error.

    The leave-one-out residual of row i is its residual over ``1 - h[i]``, h the diagonal of the hat matrix, so all
    penalties cost one singular value decomposition.
    """
    x_mean, y_mean = x.double().mean(0), y.double().mean(0)
    centred, wanted = x.double() - x_mean, y.double() - y_mean
    u, s, v = torch.linalg.svd(centred, full_matrices=False)
    seen, best = u.T @ wanted, None
    for penalty in PENALTIES:
        kept = s.square() / (s.square() + penalty * s.square().mean())
        left_out = (wanted - u @ (kept[:, None] * seen)) / (1 - (u.square() @ kept + 1 / len(x)))[:, None]
        error = float(left_out.square().mean())
        if best is None or error < best[0]:
            best = (error, penalty, v.T @ ((kept / s.clamp(min=1e-12))[:, None] * seen))
    return LinearMap(x_mean, y_mean, best[2], best[1])

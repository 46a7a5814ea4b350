"""Connectors by name: the dynamic compressor, and what it is compared with.

Plain pooling, other downsamplers, value and output maps: none of these is in the public code (study 3,
``docs/deviations.md``); the names DWConv and Conv-MLP are the paper's. All have the interface of
:mod:`oryx.model.compressor` and are chosen by ``config.compressor``. Rules shared by all:

* Grids that are no multiple of the side keep their smaller border regions, and the new grid rounds up, as in the
  dynamic compressor. Positions that do not exist take part in nothing.
* At side 1 there is nothing to downsample: the pooled token *is* the token. ``mlp`` and ``average`` return the input,
  every other arm exactly twice the input (``dynamic_value_output``: twice at its start, ``v + W_o W_v v`` later).
* Learned downsamplers have a kernel of their own for every side 2 to 5; another side is refused. One kernel for all
  sides would have to be resampled, which is one more choice that the comparison would rest on.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oryx.errors import InputError, check_known
from oryx.grids import Grid, compressed_grid
from oryx.model.compressor import DynamicCompressor, NoCompressor, check_features, region_means
from oryx.model.config import OryxConfig

LEARNED_SIDES = (2, 3, 4, 5)
"""Sides that learned downsamplers have kernels for."""


class AveragePooling(nn.Module):
    """The mean of each region, times ``factor``; no parameters.

    Twice the mean is where the dynamic compressor starts from, if its attention is uniform: the scale control.
    """

    def __init__(self, config: OryxConfig, factor: float = 1.0):
        super().__init__()
        self.factor = factor

    def forward(self, features: Tensor, grid: Grid | None, side: int) -> tuple[Tensor, Grid]:
        """As :meth:`oryx.model.compressor.DynamicCompressor.forward`."""
        grid = check_features(features, grid)
        pooled = features if side == 1 else region_means(features, grid, side)
        return pooled * self.factor, compressed_grid(grid, side)


class DepthwiseConvolution(nn.Module):
    """A weight for every channel and place of the region, and a bias.

    ``warm``: starts as the mean; else from torch's own initialisation of a depth-wise convolution. In a border region
    the missing places are left out and the others scaled up by as much, so that the mean stays the mean.
    """

    def __init__(self, width: int, warm: bool):
        super().__init__()
        self.warm = warm
        self.weights = nn.ParameterDict({str(k): nn.Parameter(torch.empty(k * k, width)) for k in LEARNED_SIDES})
        self.biases = nn.ParameterDict({str(k): nn.Parameter(torch.empty(width)) for k in LEARNED_SIDES})
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the first weights, see above."""
        for name, weight in self.weights.items():
            side = int(name)
            if self.warm:
                nn.init.constant_(weight, 1 / side**2)
                nn.init.zeros_(self.biases[name])
            else:  # torch's Conv2d(groups=channels): uniform within 1 / sqrt(fan in)
                nn.init.uniform_(weight, -1 / side, 1 / side)
                nn.init.uniform_(self.biases[name], -1 / side, 1 / side)

    def forward(self, values: Tensor, present: Tensor | None, side: int) -> Tensor:
        """(T, n, k * k, C) with the places that exist to (T, n, C)."""
        weight, bias = self.weights[str(side)], self.biases[str(side)]
        out = torch.einsum("tnkc,kc->tnc", values, weight)
        if present is not None:
            out = out * (side * side / present.sum(1, keepdim=True))
        return out + bias


class ConvolutionMLP(nn.Module):
    """A full convolution over the region, GELU, a linear layer: (k * k * C) to C to C. From torch's initialisation."""

    def __init__(self, width: int):
        super().__init__()
        self.convolutions = nn.ModuleDict({str(k): nn.Linear(k * k * width, width) for k in LEARNED_SIDES})
        self.outputs = nn.ModuleDict({str(k): nn.Linear(width, width) for k in LEARNED_SIDES})

    def forward(self, values: Tensor, present: Tensor | None, side: int) -> Tensor:
        """(T, n, k * k, C) to (T, n, C); missing places are zeros, scaled up as in the depth-wise convolution."""
        if present is not None:
            values = values * (side * side / present.sum(1))[:, None, None]
        hidden = F.gelu(self.convolutions[str(side)](values.flatten(2)))
        return self.outputs[str(side)](hidden)


class DownsampledCompressor(DynamicCompressor):
    """The dynamic compressor with another downsampler in the place of the average: query and residual are its output.

    The attention is the same; so is everything at side 1. ``make`` gives, for the features' width, the module that maps
    (values, present, side) to pooled tokens. With a depth-wise convolution that starts as the mean it is at its start
    the paper's compressor exactly.
    """

    def __init__(self, config: OryxConfig, make: Callable[[int], nn.Module]):
        super().__init__(config)
        self.downsampler = make(config.vision_config.hidden_size)

    def pool(self, features: Tensor, grid: Grid, side: int, values: Tensor, present: Tensor | None) -> Tensor:
        """Pooled tokens (T, n, C); raises InputError for a side that the downsampler has no kernel for."""
        if side not in LEARNED_SIDES:
            raise InputError(f"this learned downsampler has kernels for sides 1 to {LEARNED_SIDES[-1]}, got {side}")
        return self.downsampler(values, present, side)


class MaxCompressor(DynamicCompressor):
    """Downsampled by the largest value of each channel: no parameters, but not the features' distribution."""

    def pool(self, features: Tensor, grid: Grid, side: int, values: Tensor, present: Tensor | None) -> Tensor:
        if present is not None:
            values = values.masked_fill(~present[None, :, :, None], -torch.inf)
        return values.amax(2)


class BilinearCompressor(DynamicCompressor):
    """Downsampled by bilinear resampling to the new grid (corners not aligned, no antialiasing).

    It reads the four tokens around each new centre and no others: at side 2 that is the average itself, at larger sides
    a part of the region.
    """

    def pool(self, features: Tensor, grid: Grid, side: int, values: Tensor, present: Tensor | None) -> Tensor:
        maps = features.transpose(1, 2).reshape(len(features), -1, *grid)
        size = compressed_grid(grid, side)
        return F.interpolate(maps, size=size, mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)


class Identity(nn.Linear):
    """A linear layer that starts as the identity."""

    def reset_parameters(self) -> None:
        nn.init.eye_(self.weight)
        nn.init.zeros_(self.bias)


class ValueOutputCompressor(DynamicCompressor):
    """Regional attention with value and output projections, as attention usually has; both start as the identity."""

    def __init__(self, config: OryxConfig):
        super().__init__(config)
        width = config.vision_config.hidden_size
        self.value_projector, self.output_projector = Identity(width, width), Identity(width, width)

    def project(self, taken: Tensor) -> Tensor:
        """Both maps. They are linear and the weights sum to 1, so they may come after the sum: one token, not k * k."""
        return self.output_projector(self.value_projector(taken))


COMPRESSORS: dict[str, Callable[[OryxConfig], nn.Module]] = {
    "dynamic": DynamicCompressor,
    "none": NoCompressor,
    "mlp": NoCompressor,
    "average": AveragePooling,
    "average_x2": partial(AveragePooling, factor=2.0),
    "dynamic_dwconv": partial(DownsampledCompressor, make=partial(DepthwiseConvolution, warm=True)),
    "dynamic_dwconv_cold": partial(DownsampledCompressor, make=partial(DepthwiseConvolution, warm=False)),
    "dynamic_convmlp": partial(DownsampledCompressor, make=ConvolutionMLP),
    "dynamic_bilinear": BilinearCompressor,
    "dynamic_max": MaxCompressor,
    "dynamic_value_output": ValueOutputCompressor,
}
"""By the name in ``config.compressor``. The authors' models have "dynamic" and "none"."""


def build_compressor(config: OryxConfig) -> nn.Module:
    """The compressor that ``config.compressor`` names.

    Raises:
        SettingsError: an unknown name, with the known ones.
    """
    check_known([config.compressor], COMPRESSORS, "compressor")
    return COMPRESSORS[config.compressor](config)

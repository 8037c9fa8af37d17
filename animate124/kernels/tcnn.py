"""Adapter to tinycudann (NVlabs/tiny-cuda-nn, PyTorch bindings), the encoding named "tcnn".

It is a choice of its own and no faster form of ours: tinycudann's hash grid counts vertices instead
of cells, shifts every level by half a cell, rounds a level's rows up to a multiple of 8 and works
in float16; its fused perceptron has no biases. A field trained with one encoding cannot be read
with the other, so a checkpoint has to name its encoding.

Not run by the authors: no machine with a GPU was at hand. Written against the public contract of
tinycudann 1.7 and 2.0 (bindings/torch/tinycudann/modules.py and bindings.cpp): a module holds one
float32 parameter vector `params`, and forward(x) casts it to the module's precision, pads the batch
to the granularity, and returns the cast result, differentiable in x and params. That contract is
what tests/unit/test_kernels_tcnn.py checks with a double, and tests/gpu with the real package.
"""

import importlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from animate124.errors import UserError

INSTALL = (
    "pip install --no-build-isolation "
    '"git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch"'
)
FUSED_WIDTHS = (16, 32, 64, 128)  # hidden widths that FullyFusedMLP has kernels for


def _package():
    """The tinycudann package; raises UserError where it cannot be used."""
    try:
        return importlib.import_module("tinycudann")
    except (ImportError, OSError) as error:  # OSError: it found no usable CUDA device
        raise UserError(
            f"The encoding tcnn needs tinycudann, which cannot be loaded here ({error}): install "
            f"it on a machine with CUDA ({INSTALL}), or choose the encoding grid."
        ) from error


@dataclass(frozen=True)
class TcnnLevels:
    """Levels of a tinycudann hash grid over the unit cube, with the fields of levels.GridLevels.

    levels: number of levels L, at most 32. features: features per vertex F: 1, 2, 4 or 8. coarsest,
    finest: cells along an axis at the first and last level. log2_size: a level keeps at most
    2**log2_size vertices, hashed over all three axes when it has more.
    """

    levels: int = 8
    features: int = 2
    coarsest: int = 8
    finest: int = 128
    log2_size: int = 15

    @property
    def growth(self) -> float:
        """tinycudann's per_level_scale: ratio of the vertex counts of neighbouring levels."""
        if self.levels == 1:
            return 1.0
        return ((self.finest + 1) / (self.coarsest + 1)) ** (1 / (self.levels - 1))

    @property
    def config(self) -> dict[str, object]:
        """Configuration of the encoding (DOCUMENTATION.md of tiny-cuda-nn, "Grid")."""
        return {
            "otype": "HashGrid",
            "n_levels": self.levels,
            "n_features_per_level": self.features,
            "log2_hashmap_size": self.log2_size,
            "base_resolution": self.coarsest + 1,
            "per_level_scale": self.growth,
            "interpolation": "Linear",
        }

    @cached_property
    def resolutions(self) -> np.ndarray:
        """Vertices along an axis at each level, int64 [L], in tinycudann's float32 arithmetic."""
        exponent = np.arange(self.levels, dtype=np.float32) * np.log2(np.float32(self.growth))
        scale = np.exp2(exponent) * np.float32(self.coarsest + 1) - np.float32(1)
        return np.ceil(scale).astype(np.int64) + 1

    @cached_property
    def sizes(self) -> np.ndarray:
        """Table rows of each level, int64 [L]."""
        dense = (self.resolutions**3 + 7) // 8 * 8
        return np.minimum(dense, 2**self.log2_size)

    @cached_property
    def offsets(self) -> np.ndarray:
        """First table row of each level, int64 [L + 1]; the last entry is the number of rows."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @property
    def rows(self) -> int:
        """Rows of the whole table."""
        return int(self.offsets[-1])

    @property
    def width(self) -> int:
        """Length of the feature vector, L·F."""
        return self.levels * self.features


@lru_cache(maxsize=4)
def _encoding(levels: TcnnLevels) -> nn.Module:
    """The tinycudann encoding of these levels; its own parameters are dropped, ours are passed."""
    encoding = _package().Encoding(3, levels.config, dtype=torch.float16)
    count = encoding.params.numel()
    if count != levels.rows * levels.features:
        raise RuntimeError(
            f"tcnn: this tinycudann keeps {count} parameters for {levels}, and "
            f"{levels.rows * levels.features} were expected"
        )
    encoding.params = nn.Parameter(encoding.params.new_empty(0))
    return encoding


def encode(x: Tensor, tables: Tensor, starts: Tensor, levels: TcnnLevels, active: int) -> Tensor:
    """Features float32 [N, L·F] of points x [N, 3] in [0, 1]; differentiable in `tables` and x.

    tables: float32 [G, rows, F]. starts: int64 [G + 1]; group g is rows starts[g]:starts[g+1] of x.
    active: levels from this one on give zeros (they are computed all the same: the bindings have no
    switch for it). Waits for the device, for the group boundaries.
    """
    encoding = _encoding(levels)
    bounds = starts.tolist()
    pieces = [
        # The module holds nothing between calls but its parameters, so that it serves all tables.
        torch.func.functional_call(encoding, {"params": table.reshape(-1)}, (x[first:last],))
        for table, first, last in zip(tables.float(), bounds[:-1], bounds[1:], strict=True)
        if last > first
    ]
    if not pieces:
        return x.new_zeros(0, levels.width)
    features = torch.cat(pieces).float()
    if active < levels.levels:
        mask = torch.arange(levels.width, device=x.device) < active * levels.features
        features = features * mask
    return features


class FusedMlp(nn.Module):
    """tinycudann's FullyFusedMLP: ReLU hidden layers, no biases, float16 inside.

    inputs, outputs: any width (padded to 16 inside, the inputs' padding with ones). hidden: one of
    FUSED_WIDTHS. hidden_layers: at least 1. The parameters are float32 and cast at every call, so
    an optimiser's small steps are not lost; gradients are scaled inside against underflow.
    """

    def __init__(
        self, inputs: int, hidden: int, outputs: int, hidden_layers: int = 1, seed: int = 0
    ):
        super().__init__()
        if hidden not in FUSED_WIDTHS:
            raise UserError(
                f"A fused perceptron has {FUSED_WIDTHS} hidden units and not {hidden}: choose one "
                "of these, or the encoding grid."
            )
        config = {
            "otype": "FullyFusedMLP",
            "activation": "ReLU",
            "output_activation": "None",
            "n_neurons": hidden,
            "n_hidden_layers": hidden_layers,
        }
        self.network = _package().Network(inputs, outputs, config, seed=seed)

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, inputs] -> float32 [N, outputs]."""
        if not len(x):
            return x.new_zeros(0, self.network.n_output_dims, dtype=torch.float32)
        return self.network(x.float()).float()

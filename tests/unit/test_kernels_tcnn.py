"""The tinycudann adapter against a double of its PyTorch bindings.

The double is no hash grid. It keeps to the bindings' contract, which is what can be checked without
a GPU: what the constructors are given, and what reaches the native module (bindings.cpp checks the
same with CHECK_THROW): float32 contiguous inputs whose count is a multiple of 256, and a parameter
vector of the module's length in half precision.
"""

import itertools
import sys
import types

import pytest
import torch
from torch import nn

from animate124.errors import UserError
from animate124.kernels import dispatch, tcnn
from animate124.kernels.tcnn import FusedMlp, TcnnLevels

GRID_KEYS = {
    "otype", "n_levels", "n_features_per_level", "log2_hashmap_size", "base_resolution",
    "per_level_scale", "interpolation", "type", "stochastic_interpolation",
}  # fmt: skip
NETWORK_KEYS = {"otype", "activation", "output_activation", "n_neurons", "n_hidden_layers"}


class Module(nn.Module):
    """Double of tinycudann.Module: one float32 parameter vector, cast, pad, call, cut."""

    calls = ()

    def __init__(self, inputs, outputs, count, seed):
        super().__init__()
        assert isinstance(seed, int)
        self.n_input_dims, self.n_output_dims, self.count = inputs, outputs, count
        initial = torch.rand(count, generator=torch.Generator().manual_seed(seed)) - 0.5
        self.params = nn.Parameter(initial)

    def forward(self, x):
        missing = -len(x) % 256
        padded = nn.functional.pad(x, [0, 0, 0, missing]) if missing else x
        output = self._native(padded.float().contiguous(), self.params.half().contiguous())
        return output[: len(x), : self.n_output_dims]

    def _native(self, x, params):
        assert x.dtype == torch.float32 and x.is_contiguous()
        assert x.shape[1] == self.n_input_dims and len(x) % 256 == 0 and len(x) > 0
        assert params.dtype == torch.float16 and params.shape == (self.count,)
        Module.calls = (*Module.calls, len(x))
        return self._compute(x, params)


class Encoding(Module):
    """Feature f of level l: the first row's feature times x, plus the last row's times y."""

    def __init__(self, n_input_dims, encoding_config, seed=1337, dtype=None):
        assert n_input_dims == 3 and set(encoding_config) <= GRID_KEYS
        assert encoding_config["otype"] == "HashGrid"
        assert dtype in (None, torch.float16, torch.float32)
        self.features = encoding_config["n_features_per_level"]
        assert self.features in (1, 2, 4, 8)
        self.rows = [0]
        vertices = encoding_config["base_resolution"]
        for level in range(encoding_config["n_levels"]):
            scale = vertices * encoding_config["per_level_scale"] ** level - 1
            side = int(-(-round(scale, 4) // 1)) + 1  # the ceiling, and one
            dense = -(-(side**3) // 8) * 8
            self.rows.append(self.rows[-1] + min(dense, 2 ** encoding_config["log2_hashmap_size"]))
        outputs = encoding_config["n_levels"] * self.features
        super().__init__(n_input_dims, outputs, self.rows[-1] * self.features, seed)

    def _compute(self, x, params):
        table = params.view(-1, self.features)
        columns = [
            x[:, :1].half() * table[first] + x[:, 1:2].half() * table[last - 1]
            for first, last in zip(self.rows[:-1], self.rows[1:], strict=True)
        ]
        return torch.cat(columns, 1)


class Network(Module):
    """A perceptron without biases, widths padded to 16, the inputs' padding filled with ones."""

    def __init__(self, n_input_dims, n_output_dims, network_config, seed=1337):
        assert set(network_config) == NETWORK_KEYS
        assert network_config["otype"] == "FullyFusedMLP"
        assert network_config["n_neurons"] in (16, 32, 64, 128)
        width, layers = network_config["n_neurons"], network_config["n_hidden_layers"]
        ends = [-(-n // 16) * 16 for n in (n_input_dims, n_output_dims)]
        self.shapes = [(width, ends[0]), *[(width, width)] * (layers - 1), (ends[1], width)]
        super().__init__(n_input_dims, n_output_dims, sum(a * b for a, b in self.shapes), seed)

    def _compute(self, x, params):
        x = nn.functional.pad(x, [0, self.shapes[0][1] - x.shape[1]], value=1.0).half()
        parts = params.split([a * b for a, b in self.shapes])
        for i, (part, shape) in enumerate(zip(parts, self.shapes, strict=True)):
            x = x @ part.view(shape).t()
            if i < len(parts) - 1:
                x = x.relu()
        return x


@pytest.fixture
def double(monkeypatch):
    """tinycudann replaced by the double."""
    package = types.ModuleType("tinycudann")
    package.Encoding, package.Network = Encoding, Network
    monkeypatch.setitem(sys.modules, "tinycudann", package)
    monkeypatch.setattr(Module, "calls", ())
    tcnn._encoding.cache_clear()
    yield package
    tcnn._encoding.cache_clear()


LEVELS = TcnnLevels(levels=4, coarsest=4, finest=32, log2_size=10)


def test_rows_are_those_of_tinycudann():
    # growth = (33/5)**(1/3) = 1.8758; vertices 5, ceil(8.379) + 1 = 10 and ceil(16.59) + 1 = 18.
    assert LEVELS.growth == pytest.approx(1.87577, abs=1e-5)
    assert LEVELS.resolutions.tolist()[:3] == [5, 10, 18]
    assert LEVELS.sizes.tolist() == [128, 1000, 1024, 1024]  # 125 rounded up to a multiple of 8
    assert LEVELS.offsets.tolist() == [0, 128, 1128, 2152, 3176]
    assert LEVELS.rows == 3176 and LEVELS.width == 8
    one = TcnnLevels(levels=1, coarsest=7)
    assert one.growth == 1.0 and one.rows == 512


@pytest.mark.parametrize("counts", [[300], [5, 0, 256, 17], [0, 0]])
def test_each_group_looks_into_its_own_table(double, counts):
    g = torch.Generator().manual_seed(0)
    x = torch.rand(sum(counts), 3, generator=g)
    tables = torch.randn(len(counts), LEVELS.rows, 2, generator=g).requires_grad_()
    starts = torch.tensor([0, *torch.tensor(counts).cumsum(0)])
    got = dispatch.encode(x, tables, starts, LEVELS, 4)
    assert got.dtype == torch.float32 and got.shape == (sum(counts), 8)
    assert Module.calls == tuple(-(-n // 256) * 256 for n in counts if n)
    gradient = torch.randn(got.shape, generator=g)
    expected, pull = torch.zeros_like(got), torch.zeros_like(tables)
    for group, (a, b) in enumerate(itertools.pairwise(starts)):
        for level in range(4):
            columns = slice(2 * level, 2 * level + 2)
            first, last = LEVELS.offsets[level], LEVELS.offsets[level + 1] - 1
            table = tables[group].detach()
            expected[a:b, columns] = x[a:b, :1] * table[first] + x[a:b, 1:2] * table[last]
            pull[group, first] = (x[a:b, :1] * gradient[a:b, columns]).sum(0)
            pull[group, last] = (x[a:b, 1:2] * gradient[a:b, columns]).sum(0)
    torch.testing.assert_close(got, expected, rtol=2e-3, atol=2e-3)
    if sum(counts):
        got.backward(gradient)
        assert tables.grad.dtype == torch.float32
        torch.testing.assert_close(tables.grad, pull, rtol=5e-3, atol=2e-2)


def test_levels_that_are_not_active_give_zeros_and_get_no_gradient(double):
    x, tables = torch.rand(10, 3), torch.randn(1, LEVELS.rows, 2, requires_grad=True)
    got = tcnn.encode(x, tables, torch.tensor([0, 10]), LEVELS, 2)
    assert got[:, :4].all() and not got[:, 4:].any()
    got.sum().backward()
    assert tables.grad[0, : LEVELS.offsets[2]].any()
    assert not tables.grad[0, LEVELS.offsets[2] :].any()


def test_the_module_is_made_once_and_keeps_no_table_of_its_own(double):
    assert tcnn._encoding(LEVELS) is tcnn._encoding(LEVELS)
    assert sum(p.numel() for p in tcnn._encoding(LEVELS).parameters()) == 0


def test_another_row_count_than_expected_is_an_error(double, monkeypatch):
    monkeypatch.setattr(TcnnLevels, "rows", 5)
    with pytest.raises(RuntimeError, match="6352 parameters"):
        tcnn.encode(torch.rand(2, 3), torch.zeros(1, 5, 2), torch.tensor([0, 2]), LEVELS, 4)


@pytest.mark.parametrize("samples", [0, 1, 256, 300])
def test_fused_perceptron(double, samples):
    network = FusedMlp(5, 32, 4, hidden_layers=2, seed=3)
    (params,) = network.parameters()
    assert params.dtype == torch.float32 and len(params) == 32 * 16 + 32 * 32 + 16 * 32
    x = torch.rand(samples, 5, requires_grad=True)
    out = network(x)
    assert out.dtype == torch.float32 and out.shape == (samples, 4)
    if samples:
        w1, w2, w3 = params.detach().split([512, 1024, 512])
        full = nn.functional.pad(x.detach(), [0, 11], value=1.0)
        hidden = (full @ w1.view(32, 16).t()).relu() @ w2.view(32, 32).t()
        expected = (hidden.relu() @ w3.view(16, 32).t())[:, :4]
        torch.testing.assert_close(out, expected, rtol=0, atol=2e-2)
        out.sum().backward()
        assert params.grad.dtype == torch.float32 and params.grad.any() and x.grad.any()


def test_fused_perceptron_refuses_a_width_without_a_kernel(double):
    with pytest.raises(UserError, match="48"):
        FusedMlp(32, 48, 4)


def test_without_tinycudann_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    tcnn._encoding.cache_clear()
    with pytest.raises(UserError, match="choose the encoding grid"):
        tcnn.encode(
            torch.rand(2, 3), torch.zeros(1, LEVELS.rows, 2), torch.tensor([0, 2]), LEVELS, 4
        )

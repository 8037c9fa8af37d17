"""The CUDA kernels against the torch reference on a real GPU, at the sizes of a training step."""

import kernel_cases as cases
import pytest
import torch

from animate124.kernels import dispatch, reference
from animate124.kernels.levels import GridLevels

if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

pytestmark = pytest.mark.gpu

LARGE = GridLevels(levels=16, coarsest=16, finest=1024, log2_size=19)


@pytest.fixture(scope="module")
def cuda():
    pytest.importorskip("triton")
    from animate124.kernels import cuda

    return cuda


@pytest.mark.parametrize("counts", cases.GROUPS.values(), ids=cases.GROUPS.keys())
@pytest.mark.parametrize("name", cases.LEVELS)
def test_encode_is_the_reference(cuda, name, counts):
    levels = cases.LEVELS[name]
    for active in (levels.levels, 1):
        cases.check_encode(cuda, levels, counts, active, "cuda")


def test_encode_of_a_training_step_is_the_reference(cuda):
    # Tables' gradients add up thousands of terms in another order: hence the wider bound.
    inputs = cases.encode_inputs(LARGE, [100_000, 0, 250_001], "cuda")
    got = cases.run_encode(cuda, inputs, LARGE, 16)
    expected = cases.run_encode(reference, inputs, LARGE, 16)
    cases.close(got[0], expected[0])
    cases.close(got[1], expected[1], scale=10)


def test_the_deterministic_gradient_repeats_byte_for_byte(cuda):
    inputs = cases.encode_inputs(LARGE, [200_000], "cuda")
    expected = cases.run_encode(reference, inputs, LARGE, 16)[1]
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (cases.run_encode(cuda, inputs, LARGE, 16)[1] for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(first, second)
    cases.close(first, expected, scale=10)


@pytest.mark.parametrize("samples", [*cases.MLP_SAMPLES, 200_000])
def test_mlp_is_the_reference_also_under_autocast(cuda, samples):
    cases.check_mlp(cuda, samples, "cuda")
    arguments = cases.mlp_inputs(samples, device="cuda")[:-1]
    with torch.autocast("cuda", dtype=torch.float16):
        assert cuda.mlp(*arguments).dtype == torch.float32


@pytest.mark.parametrize("tight", [False, True], ids=["whole cube", "tight boxes"])
@pytest.mark.parametrize("name", cases.MARCHES)
def test_march_is_the_reference(cuda, name, tight):
    cases.check_march(cuda, name, tight, "cuda")


def test_march_of_an_image_is_the_reference(cuda):
    """Where a sample lies on a cell's face to the last bit, the two may differ: in few rays."""
    arguments = cases.march_inputs(64, 0.1, 8.0, rays=20_000, groups=4, device="cuda")
    boxes = cases.boxes_of(arguments[3], arguments[4], arguments[5], True)
    offsets, distances, _ = cuda.march(*arguments, boxes)
    expected_offsets, expected = reference.march(*arguments)
    different = (offsets.diff() != expected_offsets.diff()).sum()
    assert int(different) <= 20
    assert abs(float(distances.double().sum() / expected.double().sum()) - 1) < 1e-4


@pytest.mark.parametrize("kind", ["random", "opaque", "empty", "thin", "wall"])
def test_composite_is_the_reference(cuda, kind):
    cases.check_composite(cuda, kind, "cuda")
    cases.check_composite(cuda, kind, "cuda", rays=20_000, most=90)


def test_a_step_under_autocast_gives_float32_results_and_gradients(cuda):
    levels = cases.LEVELS["mixed"]
    x, tables, starts, _ = cases.encode_inputs(levels, [900], "cuda")
    tables.requires_grad_()
    _, w1, b1, w2, b2, _ = cases.mlp_inputs(900, inputs=levels.width, device="cuda")
    distances = torch.linspace(1, 2, 900, device="cuda")
    offsets = torch.arange(0, 901, 30, device="cuda")

    def loss():
        raw = dispatch.mlp(dispatch.encode(x, tables, starts, levels, 5), w1, b1, w2, b2)
        outputs = dispatch.composite(
            torch.nn.functional.softplus(raw[:, 0]), raw[:, 1:4].sigmoid(), distances, offsets, 0.05
        )
        return sum(o.sum() for o in outputs)

    plain = torch.autograd.grad(loss(), tables)[0]
    with torch.autocast("cuda", dtype=torch.float16):
        value = loss()
    mixed = torch.autograd.grad(value, tables)[0]
    assert value.dtype == mixed.dtype == torch.float32
    cases.close(mixed, plain, scale=100)


def test_dispatch_takes_triton_on_cuda(cuda, monkeypatch):
    monkeypatch.delenv("ANIMATE124_KERNELS", raising=False)
    assert dispatch.backend_name("cuda") == "triton"
    cases.check_march(dispatch, "random", True, "cuda")


# --- tinycudann -----------------------------------------------------------------------------------


@pytest.fixture
def tcnn():
    pytest.importorskip("tinycudann")
    from animate124.kernels import tcnn

    return tcnn


def _tcnn_reference(x, table, levels):
    """tinycudann's hash grid in torch: vertices at (i − 1/2) / scale, see its grid.h."""
    columns = []
    for level in range(levels.levels):
        scale = (levels.coarsest + 1) * levels.growth**level - 1
        position = x * scale + 0.5
        cell = position.floor()
        fraction = position - cell
        side, size = int(levels.resolutions[level]), int(levels.sizes[level])
        total = 0
        for corner in range(8):
            bits = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2], device=x.device)
            v = cell.long() + bits
            if side**3 > size:
                row = v[:, 0] ^ (v[:, 1] * 2654435761) ^ (v[:, 2] * 805459861)
            else:
                row = v[:, 0] + side * (v[:, 1] + side * v[:, 2])
            weight = torch.where(bits.bool(), fraction, 1 - fraction).prod(1, keepdim=True)
            total = total + weight * table[int(levels.offsets[level]) + row % size]
        columns.append(total)
    return torch.cat(columns, 1)


def test_tcnn_encode_is_its_formula_in_half_precision(tcnn):
    levels = tcnn.TcnnLevels(levels=6, coarsest=8, finest=100, log2_size=14)
    x = torch.rand(3000, 3, device="cuda")
    tables = torch.randn(2, levels.rows, 2, device="cuda", requires_grad=True)
    starts = torch.tensor([0, 1000, 3000], device="cuda")
    got = dispatch.encode(x, tables, starts, levels, 6)
    expected = torch.cat(
        [
            _tcnn_reference(x[:1000], tables[0], levels),
            _tcnn_reference(x[1000:], tables[1], levels),
        ]
    )
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-2)
    gradient = torch.randn_like(got)
    pulls = [torch.autograd.grad(f, tables, gradient)[0] for f in (got, expected)]
    torch.testing.assert_close(*pulls, rtol=0, atol=2e-2 * float(pulls[1].abs().max()))


def test_tcnn_fused_perceptron_trains(tcnn):
    network = tcnn.FusedMlp(16, 64, 4).cuda()
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    x = torch.rand(1000, 16, device="cuda")
    target = torch.stack([x[:, 0], x[:, 1] ** 2, x[:, 2] * x[:, 3], x[:, 4]], 1)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(200):
        loss = (network(x) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.1 * losses[0]

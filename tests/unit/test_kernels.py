"""The kernels' specification by hand-worked cases, and the numba backend against it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import kernel_cases as cases
import pytest
import torch

from animate124.kernels import cpu, reference
from animate124.kernels.levels import GridLevels

BACKENDS = pytest.mark.parametrize("module", [reference, cpu], ids=["reference", "numba"])


# --- levels ---------------------------------------------------------------------------------------


def test_levels_are_geometric_and_hash_beyond_the_table():
    levels = GridLevels()  # 8 levels, 8..128 cells, 2**15 rows
    # 8·16**(k/7): 8, 11.9, 17.7, 26.3, 39.0, 58.0, 86.1, 128; 32**3 rows fit, 33**3 do not.
    assert levels.resolutions.tolist() == [8, 12, 18, 26, 39, 58, 86, 128]
    assert levels.hashed.tolist() == [False] * 4 + [True] * 4
    assert levels.sizes.tolist() == [729, 2197, 6859, 19683] + [32768] * 4
    assert levels.offsets.tolist()[:3] == [0, 729, 2926]
    assert levels.rows == 729 + 2197 + 6859 + 19683 + 4 * 32768
    assert levels.width == 16
    assert not GridLevels(levels=1, coarsest=31, log2_size=15).hashed[0]  # 32**3 = 2**15 rows
    assert GridLevels(levels=1, coarsest=32, log2_size=15).hashed[0]


@BACKENDS
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_level_sees_every_axis(module, axis):
    levels = GridLevels(levels=8, coarsest=4, finest=256, log2_size=10)
    assert levels.hashed.sum() == 6
    g = torch.Generator().manual_seed(axis)
    x = torch.rand(500, 3, generator=g) * 0.8 + 0.1
    table = torch.randn(1, levels.rows, 2, generator=g)
    starts = torch.tensor([0, len(x)])
    before = module.encode(x, table, starts, levels, 8)
    for level, resolution in enumerate(levels.resolutions.tolist()):
        moved = x.clone()
        moved[:, axis] += 0.4 / resolution
        change = (module.encode(moved, table, starts, levels, 8) - before).abs()
        mine = change[:, 2 * level : 2 * level + 2].amax(1)
        assert (mine > 1e-4).all(), f"level {level}: {int((mine <= 1e-4).sum())} points are blind"


def _published_row(corner, resolution, size):
    """Row of the published tiled grid: an axis counts only while its stride fits the table."""
    row, stride = torch.zeros_like(corner[:, 0]), 1
    for axis in range(3):
        if stride <= size:
            row = row + corner[:, axis] * stride
            stride *= resolution + 1
    return row % size


def test_the_published_tiled_grid_is_blind_to_z_where_ours_is_not():
    resolutions = [16, 23, 31, 43, 59, 81, 112, 154, 213, 295, 407, 562, 777, 1073, 1483, 2048]
    size = 2**16
    g = torch.Generator().manual_seed(0)
    blind = []
    for level, resolution in enumerate(resolutions):
        corner = (torch.rand(2000, 3, generator=g) * (resolution - 1)).long()
        behind = corner + torch.tensor([0, 0, 1])
        if torch.equal(
            _published_row(corner, resolution, size), _published_row(behind, resolution, size)
        ):
            blind.append(level)
        ours = GridLevels(levels=1, coarsest=resolution, log2_size=16)
        rows = [reference.corner_rows((c + 0.5) / resolution, ours, 0)[0] for c in (corner, behind)]
        assert (rows[0] != rows[1]).any(1).all()
    assert blind == [9, 10, 11, 12, 13, 14, 15]


# --- encode ---------------------------------------------------------------------------------------


def test_at_a_cell_centre_all_eight_weights_are_an_eighth():
    levels = GridLevels(levels=1, coarsest=2)  # 3 vertices an axis: rows x + 3·(y + 3·z)
    row, weight = reference.corner_rows(torch.tensor([[0.25, 0.25, 0.75]]), levels, 0)
    assert row.tolist() == [[9, 10, 12, 13, 18, 19, 21, 22]]
    assert weight.tolist() == [[0.125] * 8]


def test_trilinear_weights_inside_a_cell_by_hand():
    levels = GridLevels(levels=1, coarsest=2)
    _, weight = reference.corner_rows(torch.tensor([[0.125, 0.25, 0.0]]), levels, 0)
    # Fractions 1/4, 1/2, 0: the four corners at z + 1 weigh nothing.
    assert weight.tolist() == [[0.375, 0.125, 0.375, 0.125, 0, 0, 0, 0]]


@BACKENDS
def test_a_linear_function_is_reproduced(module):
    levels = GridLevels(levels=1, coarsest=7)
    axis = torch.arange(8) / 7
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    values = torch.stack([2 * x - 3 * y + 5 * z + 1, x + y + z], -1).reshape(1, -1, 2)
    p = torch.cat([torch.rand(200, 3), torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0.5]])])
    got = module.encode(p, values, torch.tensor([0, len(p)]), levels, 1)
    expected = torch.stack([2 * p[:, 0] - 3 * p[:, 1] + 5 * p[:, 2] + 1, p.sum(1)], -1)
    torch.testing.assert_close(got, expected, rtol=0, atol=5e-6)


@BACKENDS
def test_a_vertex_of_a_hashed_level_is_looked_up_where_the_hash_says(module):
    levels = GridLevels(levels=2, coarsest=2, finest=16, log2_size=9)
    assert levels.hashed.tolist() == [False, True]
    row = (5 ^ (6 * 2654435761) ^ (7 * 805459861)) % 512  # Müller et al. 2022, eq. 4
    table = torch.zeros(1, levels.rows, 2)
    table[0, 27 + row] = torch.tensor([3.0, -2.0])
    point = torch.tensor([[5 / 16, 6 / 16, 7 / 16]])
    got = module.encode(point, table, torch.tensor([0, 1]), levels, 2)
    assert got.tolist() == [[0, 0, 3, -2]]


@BACKENDS
def test_points_outside_the_cube_get_the_feature_of_the_nearest_face(module):
    levels = cases.LEVELS["mixed"]
    table = torch.randn(1, levels.rows, 2)
    outside = torch.tensor([[-3.0, 0.3, 1.5], [0.2, 9.0, -0.1]])
    starts = torch.tensor([0, 2])
    got = module.encode(outside, table, starts, levels, 5)
    torch.testing.assert_close(got, module.encode(outside.clamp(0, 1), table, starts, levels, 5))


@pytest.mark.parametrize("counts", cases.GROUPS.values(), ids=cases.GROUPS.keys())
@pytest.mark.parametrize("name", cases.LEVELS)
def test_numba_encode_is_the_reference(name, counts):
    levels = cases.LEVELS[name]
    cases.check_encode(cpu, levels, counts, levels.levels)


@pytest.mark.parametrize("active", [0, 1, 3, 99])
def test_numba_encode_masks_the_levels_that_are_not_active(active):
    levels = cases.LEVELS["mixed"]
    cases.check_encode(cpu, levels, [40, 0, 60], active)
    x, tables, starts, gradient = cases.encode_inputs(levels, [40, 0, 60])
    features, pull = cases.run_encode(cpu, (x, tables, starts, gradient), levels, active)
    assert (features[:, 2 * active :] == 0).all()
    first = int(levels.offsets[min(active, 5)])
    assert (pull[:, first:] == 0).all()


def test_numba_encode_takes_more_samples_than_a_task_has():
    assert cpu.SEGMENT < 2500
    cases.check_encode(cpu, cases.LEVELS["mixed"], [2500, 3, 1025], 5)


def test_numba_encode_takes_points_in_either_memory_order():
    levels = cases.LEVELS["mixed"]
    x, tables, starts, _ = cases.encode_inputs(levels, [50])
    by_columns = x.t().contiguous().t()
    assert torch.equal(
        cpu.encode(x, tables, starts, levels, 5), cpu.encode(by_columns, tables, starts, levels, 5)
    )


def test_numba_encode_refuses_what_it_would_compute_wrongly():
    levels = GridLevels(levels=2, features=4)
    with pytest.raises(ValueError, match="2 features"):
        cpu.encode(torch.zeros(1, 3), torch.zeros(1, 9, 4), torch.tensor([0, 1]), levels, 2)


# --- mlp ------------------------------------------------------------------------------------------


@BACKENDS
def test_perceptron_by_hand(module):
    x = torch.tensor([[1.0, 2, 3, 4], [-1, 0, 1, 0]])
    w1 = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 0], [1, 1, 1, 1]])
    b1 = torch.tensor([0.0, -1, 5, -3])
    # Hidden: (1, 1, 2, 7) and (relu −1, relu −1, 4, relu −3) = (0, 0, 4, 0).
    w2 = torch.tensor([[1.0, 1, 1, 1], [1, 0, 0, -1], [0, 0, 2, 0], [0, 0, 0, 0]])
    b2 = torch.tensor([0.0, 1, 0, -2])
    assert module.mlp(x, w1, b1, w2, b2).tolist() == [[11, -5, 4, -2], [4, 1, 8, -2]]


@pytest.mark.parametrize("samples", cases.MLP_SAMPLES)
def test_numba_mlp_is_the_reference(samples):
    cases.check_mlp(cpu, samples)


@pytest.mark.parametrize("sizes", [(4, 4, 4), (16, 64, 16), (20, 12, 8)])
def test_numba_mlp_of_other_widths_is_the_reference(sizes):
    cases.check_mlp(cpu, 300, **dict(zip(("inputs", "hidden", "outputs"), sizes, strict=True)))


def test_numba_mlp_refuses_widths_it_would_compute_wrongly():
    arguments = cases.mlp_inputs(8, outputs=3)[:-1]
    with pytest.raises(ValueError, match="multiples of 4"):
        cpu.mlp(*arguments)


# --- march ----------------------------------------------------------------------------------------


def _march(module, **changes):
    """One ray down −z from (0.5, 0.5, 3) through a 2×2×2 grid whose cell (+, +, +) is occupied."""
    density = torch.zeros(1, 2, 2, 2)
    density[0, 1, 1, 1] = 4.0
    values = {
        "origins": torch.tensor([[0.5, 0.5, 3.0]]), "directions": torch.tensor([[0.0, 0, -1]]),
        "groups": torch.tensor([0]), "density": density, "threshold": torch.tensor([1.0]),
        "bound": 1.0, "step": 0.25, "jitter": torch.tensor([0.5]), "stop": 100.0,
    } | changes  # fmt: skip
    boxes = torch.tensor([[[-1.0] * 3, [1.0] * 3]])
    if module is reference:
        return reference.march(**values)
    return cpu.march(**values, boxes=boxes)[:2]


@BACKENDS
def test_march_through_one_occupied_cell_by_hand(module):
    # near = 2 = 8 steps; candidates at (8 + k + 0.5)·0.25; the cell lies between t = 2 and 3.
    offsets, distances = _march(module)
    assert offsets.tolist() == [0, 4]
    assert distances.tolist() == [2.125, 2.375, 2.625, 2.875]


@BACKENDS
def test_march_ends_behind_the_sample_that_exceeds_stop(module):
    # Each sample has optical depth 4·0.25 = 1: before the samples lie 0, 1, 2, 3.
    assert _march(module, stop=1.5)[1].tolist() == [2.125, 2.375]
    assert _march(module, stop=2.0)[1].tolist() == [2.125, 2.375, 2.625]
    assert _march(module, stop=0.0)[1].tolist() == [2.125]


@BACKENDS
def test_march_from_inside_the_cube_starts_at_the_origin(module):
    distances = _march(module, origins=torch.tensor([[0.5, 0.5, 0.5]]))[1]
    assert distances.tolist() == [0.125, 0.375]  # 0.625 lies in the empty cell behind


@BACKENDS
def test_march_keeps_only_cells_above_the_threshold(module):
    assert _march(module, threshold=torch.tensor([4.0]))[0].tolist() == [0, 0]
    assert _march(module, threshold=torch.tensor([3.99]))[0].tolist() == [0, 4]


@BACKENDS
def test_march_of_rays_that_miss_keeps_nothing(module):
    for origin, direction in [
        ([3.0, 0.5, 3], [0.0, 0, -1]),  # parallel to an axis, beside the cube
        ([0.5, 0.5, 3], [0.0, 0, 1]),  # away from it
        ([0.5, 0.5, 3], [1.0, 0, 0]),
        ([-0.5, -0.5, 3], [0.0, 0, -1]),  # through the cube's empty cells
    ]:
        offsets, distances = _march(
            module, origins=torch.tensor([origin]), directions=torch.tensor([direction])
        )
        assert offsets.tolist() == [0, 0]
        assert len(distances) == 0


@BACKENDS
def test_march_of_no_rays(module):
    offsets, distances = _march(
        module, origins=torch.zeros(0, 3), directions=torch.zeros(0, 3),
        groups=torch.zeros(0, dtype=torch.int64), jitter=torch.zeros(0),
    )  # fmt: skip
    assert offsets.tolist() == [0]
    assert len(distances) == 0


def test_numba_march_refuses_a_step_that_its_rays_have_no_room_for():
    arguments = list(cases.march_inputs(8, 0.3, 1e9, rays=60))
    arguments[6] = 1e-3
    with pytest.raises(ValueError, match="above 4096"):
        cpu.march(*arguments, cases.boxes_of(arguments[3], arguments[4], 1.25, False))


@pytest.mark.parametrize("tight", [False, True], ids=["whole cube", "tight boxes"])
@pytest.mark.parametrize("name", cases.MARCHES)
def test_numba_march_is_the_reference(name, tight):
    kept = cases.check_march(cpu, name, tight)
    assert (kept == 0) == (name == "empty")


# --- composite ------------------------------------------------------------------------------------


@BACKENDS
def test_composite_of_two_samples_by_hand(module):
    # Optical depths ln 2 and ln 4 at step 1: half the light stops at the first, then 3/4 of the
    # rest at the second. Ray 1 has no samples.
    density = torch.tensor([2.0, 4.0]).log()
    colour = torch.tensor([[1.0, 0, 0], [0, 1, 0.4]])
    rgb, opacity, distance, weights = module.composite(
        density, colour, torch.tensor([2.0, 3.0]), torch.tensor([0, 2, 2]), 1.0
    )
    near = {"rtol": 0, "atol": 1e-6}
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.375]), **near)
    torch.testing.assert_close(rgb, torch.tensor([[0.5, 0.375, 0.15], [0, 0, 0]]), **near)
    torch.testing.assert_close(opacity, torch.tensor([0.875, 0.0]), **near)
    torch.testing.assert_close(distance, torch.tensor([2.125, 0.0]), **near)  # 1 + 1.125


def test_reference_composite_has_the_gradient_of_central_differences():
    density, colour, distances, offsets, _, gradients = cases.composite_inputs(rays=6, most=6)
    pulls = [g.double() for g in gradients]
    distances, step, h = distances.double(), 0.05, 1e-6

    def loss(density, colour):
        outputs = reference.composite(density, colour, distances, offsets, step)
        return sum((o * g).sum() for o, g in zip(outputs, pulls, strict=True))

    arguments = [density.double().requires_grad_(), colour.double().requires_grad_()]
    got = torch.autograd.grad(loss(*arguments), arguments)
    for which, argument in enumerate(arguments):
        flat = argument.detach().flatten()
        for i in range(len(flat)):
            ends = []
            for sign in (1, -1):
                moved = flat.clone()
                moved[i] += sign * h
                changed = [a.detach() for a in arguments]
                changed[which] = moved.view_as(argument)
                ends.append(float(loss(*changed)))
            assert float(got[which].flatten()[i]) == pytest.approx(
                (ends[0] - ends[1]) / (2 * h), rel=1e-5, abs=1e-8
            )


@pytest.mark.parametrize("kind", ["random", "opaque", "empty", "thin", "wall"])
def test_numba_composite_is_the_reference(kind):
    cases.check_composite(cpu, kind)


def test_numba_composite_of_no_samples():
    offsets = torch.zeros(4, dtype=torch.int64)
    empty = torch.zeros(0)
    rgb, opacity, distance, weights = cpu.composite(empty, torch.zeros(0, 3), empty, offsets, 0.1)
    assert rgb.shape == (3, 3) and not rgb.any()
    assert opacity.tolist() == distance.tolist() == [0, 0, 0]
    assert len(weights) == 0


# --- threads --------------------------------------------------------------------------------------


def _digest():
    """Hash of every numba kernel's results and gradients; printed by the subprocess below."""
    levels = cases.LEVELS["mixed"]
    results = [*cases.run_encode(cpu, cases.encode_inputs(levels, [3000, 0, 500, 7]), levels, 5)]
    results += cases.run_mlp(cpu, cases.mlp_inputs(5000))
    arguments = cases.march_inputs(8, 0.3, 3.0, rays=900)
    results += cpu.march(*arguments, cases.boxes_of(arguments[3], arguments[4], 1.25, True))
    results += cases.run_composite(cpu, cases.composite_inputs(rays=900))
    digest = hashlib.sha256()
    for result in results:
        digest.update(result.contiguous().numpy().tobytes())
    return digest.hexdigest()


def test_results_do_not_depend_on_the_thread_count():
    here = Path(__file__).resolve().parent
    code = (
        "import test_kernels, numba; test_kernels._digest();"
        "print(numba.get_num_threads(), test_kernels._digest())"
    )
    seen = []
    for threads in ("1", "2"):
        environment = os.environ | {"ANIMATE124_THREADS": threads, "NUMBA_NUM_THREADS": threads}
        environment["PYTHONPATH"] = os.pathsep.join([str(here), str(here.parent), *sys.path])
        run = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        seen.append(run.stdout.split())
    assert [s[0] for s in seen] == ["1", "2"]
    assert seen[0][1] == seen[1][1]

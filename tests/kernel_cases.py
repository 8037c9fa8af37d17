"""Inputs for the kernels and the comparison of a backend with the torch reference.

Shared by the tests of the numba, Triton (interpreted) and CUDA backends, so that all three answer
the same questions. `module` is a backend: it has encode, mlp, march and composite.
"""

import torch

from animate124.kernels import reference
from animate124.kernels.levels import GridLevels

LEVELS = {
    "dense": GridLevels(levels=3, coarsest=2, finest=6, log2_size=12),
    "hashed": GridLevels(levels=3, coarsest=8, finest=40, log2_size=8),
    "mixed": GridLevels(levels=5, coarsest=3, finest=40, log2_size=9),
    "one": GridLevels(levels=1, coarsest=5, log2_size=10),
}
# Samples per group; 0 is an empty group.
GROUPS = {
    "one": [300],
    "none": [0],
    "gaps": [0, 70, 0, 0, 130, 0],
    "many": [5] * 40,
    "single": [1],
}
MLP_SAMPLES = (0, 1, 5, 127, 128, 129, 2100)

# Name -> (side, share of occupied cells, stop).
MARCHES = {
    "random": (8, 0.3, 1e9),
    "sparse": (16, 0.02, 1e9),
    "empty": (8, 0.0, 1e9),
    "full": (8, 1.0, 1e9),
    "stopped": (8, 0.5, 2.0),
    "stops at once": (8, 0.7, 0.0),
}


def close(got, expected, scale=1.0):
    """Same shape and equal up to float32 rounding of values as large as the largest."""
    assert got.shape == expected.shape
    assert got.dtype == torch.float32
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6 * scale * max(largest, 1e-3))


def encode_inputs(levels, counts, device="cpu"):
    """Points (also on the faces 0 and 1, and outside), tables, starts, gradient of the features."""
    g = torch.Generator().manual_seed(sum(counts) + levels.rows)
    x = torch.rand(sum(counts), 3, generator=g)
    special = [[0, 0, 0], [1, 1, 1], [0, 1, 0.5], [1, 0.25, 0], [-0.3, 0.5, 1.7], [0.5, 0.5, 0.5]]
    some = torch.tensor(special)[: len(x)]
    x[: len(some)] = some
    tables = torch.randn(len(counts), levels.rows, levels.features, generator=g)
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), torch.tensor(counts).cumsum(0)])
    gradient = torch.randn(len(x), levels.width, generator=g)
    return tuple(a.to(device) for a in (x, tables, starts, gradient))


def run_encode(module, inputs, levels, active):
    """Features and the gradient of the tables."""
    x, tables, starts, gradient = inputs
    tables = tables.clone().requires_grad_()
    features = module.encode(x, tables, starts, levels, active)
    if active == 0 and module is reference:
        return features, torch.zeros_like(tables)  # autograd sees no table at all
    features.backward(gradient)
    return features.detach(), tables.grad


def check_encode(module, levels, counts, active, device="cpu"):
    inputs = encode_inputs(levels, counts, device)
    got = run_encode(module, inputs, levels, active)
    expected = run_encode(reference, inputs, levels, active)
    close(got[0], expected[0])
    close(got[1], expected[1])


def mlp_inputs(samples, inputs=32, hidden=32, outputs=4, device="cpu"):
    """x, w1, b1, w2, b2 and the gradient of the output."""
    g = torch.Generator().manual_seed(samples)
    shapes = [(samples, inputs), (hidden, inputs), (hidden,), (outputs, hidden), (outputs,)]
    shapes.append((samples, outputs))
    return [torch.randn(s, generator=g).to(device) for s in shapes]


def run_mlp(module, arguments):
    """Output and the gradients of x, w1, b1, w2, b2."""
    *parameters, gradient = arguments
    parameters = [p.clone().requires_grad_() for p in parameters]
    out = module.mlp(*parameters)
    return [out.detach(), *torch.autograd.grad(out, parameters, gradient)]


def check_mlp(module, samples, device="cpu", **sizes):
    arguments = mlp_inputs(samples, device=device, **sizes)
    for got, expected in zip(
        run_mlp(module, arguments), run_mlp(reference, arguments), strict=True
    ):
        close(got, expected, scale=10)


def march_inputs(side, share, stop, rays=240, groups=3, device="cpu"):
    """Arguments of reference.march with rays that miss, graze, start inside or follow an axis."""
    g = torch.Generator().manual_seed(side * 100 + int(share * 50))
    bound, step = 1.25, 0.06
    origins = torch.randn(rays, 3, generator=g) * 1.5
    target = torch.rand(rays, 3, generator=g) * 2 * bound - bound
    directions = target - origins
    directions[: rays // 8] *= -1  # most of these look away
    for axis in range(3):  # along an axis, with components of +0 and −0, both ways
        for k in range(4):
            row = torch.zeros(3)
            row[axis] = 1.0 if k % 2 else -1.0
            directions[rays // 4 + axis * 4 + k] = row * (1.0 if k < 2 else -1.0)
            origins[rays // 4 + axis * 4 + k] = target[k] - 2.5 * row * (k != 3)
    directions = torch.nn.functional.normalize(directions, dim=1)
    density = torch.rand(groups, side, side, side, generator=g) * 10 + 2
    density *= torch.rand(groups, side, side, side, generator=g) < share
    density[density == 0] = 0.5  # below the threshold, and not nothing
    owner = torch.sort(torch.randint(groups, (rays,), generator=g)).values
    threshold = torch.linspace(1.0, 3.0, groups)
    jitter = torch.rand(rays, generator=g)
    tensors = [origins, directions, owner, density, threshold, jitter]
    origins, directions, owner, density, threshold, jitter = (a.to(device) for a in tensors)
    return origins, directions, owner, density, threshold, bound, step, jitter, stop


def boxes_of(density, threshold, bound, tight):
    """Box [G, 2, 3] around each group's occupied cells, or the whole cube; an empty box if none."""
    groups, side = len(density), density.shape[-1]
    boxes = torch.tensor([[-bound] * 3, [bound] * 3]).repeat(groups, 1, 1)
    if tight:
        for g in range(groups):
            cells = (density[g] > threshold[g]).nonzero().flip(-1)  # to x, y, z
            if len(cells) == 0:
                boxes[g] = 0.0
                continue
            boxes[g, 0] = cells.amin(0) * (2 * bound / side) - bound
            boxes[g, 1] = (cells.amax(0) + 1) * (2 * bound / side) - bound
    return boxes.to(density)


def check_march(module, name, tight, device="cpu", **sizes):
    """The very same samples as the reference keeps."""
    side, share, stop = MARCHES[name]
    arguments = march_inputs(side, share, stop, device=device, **sizes)
    origins, directions, _, density, threshold, bound = arguments[:6]
    boxes = boxes_of(density, threshold, bound, tight)
    offsets, distances, points = module.march(*arguments, boxes)
    expected_offsets, expected = reference.march(*arguments)
    assert torch.equal(offsets, expected_offsets)
    close(distances, expected)
    ray = torch.repeat_interleave(torch.arange(len(origins), device=device), offsets.diff())
    world = origins[ray] + expected[:, None] * directions[ray]
    close(points, (world + bound) / (2 * bound), scale=3)
    return len(expected)


def composite_inputs(kind="random", rays=60, most=70, device="cpu"):
    """density, colour, distances, offsets, step and gradients of the four outputs.

    kind: random (some rays without samples), opaque (no light passes a sample), empty (density 0),
    thin (optical depths around 1e-5) or wall (one very dense sample behind thin ones).
    """
    g = torch.Generator().manual_seed(rays)
    counts = torch.randint(0, most, (rays,), generator=g)
    counts[::7] = 0
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    samples = int(offsets[-1])
    density = torch.rand(samples, generator=g)
    density *= {"random": 40.0, "opaque": 1e6, "empty": 0.0, "thin": 1e-3, "wall": 0.5}[kind]
    if kind == "wall":
        last = offsets[1:][counts > 0] - 1
        density[(last - counts[counts > 0] // 2)] = 1e6
    colour = torch.rand(samples, 3, generator=g)
    distances = torch.rand(samples, generator=g) + 1
    shapes = [(rays, 3), (rays,), (rays,), (samples,)]
    gradients = [torch.randn(s, generator=g).to(device) for s in shapes]
    tensors = [a.to(device) for a in (density, colour, distances, offsets)]
    return *tensors, 0.02, gradients


def run_composite(module, inputs):
    """The four outputs and the gradients of density and colour."""
    density, colour, distances, offsets, step, gradients = inputs
    density, colour = density.clone().requires_grad_(), colour.clone().requires_grad_()
    outputs = module.composite(density, colour, distances, offsets, step)
    pulls = torch.autograd.grad(outputs, (density, colour), gradients)
    return [o.detach() for o in outputs] + list(pulls)


def check_composite(module, kind, device="cpu", **sizes):
    inputs = composite_inputs(kind, device=device, **sizes)
    got, expected = run_composite(module, inputs), run_composite(reference, inputs)
    for a, b in zip(got, expected, strict=True):
        close(a, b, scale=3)

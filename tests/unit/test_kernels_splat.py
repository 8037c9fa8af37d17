"""Splatting: the reference by hand-worked numbers, the numba backend against the reference."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from animate124.geometry.cameras import focal_length, orbit, world_to_camera
from animate124.kernels import cpu_splat_op, dispatch, splat_reference
from animate124.kernels.splat_reference import ALPHA_MIN, LOW_PASS

BACKENDS = pytest.mark.parametrize("module", [splat_reference, cpu_splat_op], ids=["ref", "numba"])
UPRIGHT = torch.tensor([1.0, 0.0, 0.0, 0.0])


def view_from(distance):
    """World to camera of a camera on +z at `distance`, looking at the origin."""
    view = torch.eye(4)
    view[2, 3] = -distance
    return view[None]


def one(module, size=9, focal=8.0, distance=2.0, antialias=True, **more):
    """The image [S, S, 5] of Gaussians seen from +z; their arrays in `more`, [N, ...]."""
    state = [more[name][None] for name in ("positions", "rotations", "scales")]
    state += [more["opacities"], more["colours"]]
    where = view_from(distance), torch.zeros(1, dtype=torch.int64)
    return module.splat(*state, *where, focal, size, size, antialias)[0]


def gaussian(position=(0.0, 0.0, 0.0), scale=(0.2, 0.2, 0.2), opacity=0.8, colour=(1.0, 0.5, 0.25)):
    return {
        "positions": torch.tensor([position]),
        "rotations": UPRIGHT[None],
        "scales": torch.tensor([scale]),
        "opacities": torch.tensor([opacity]),
        "colours": torch.tensor([colour]),
    }


def both(*gaussians):
    return {name: torch.cat([g[name] for g in gaussians]) for name in gaussians[0]}


@BACKENDS
def test_one_round_gaussian_by_hand(module):
    image = one(module, antialias=False, **gaussian())
    # At depth 2 with 8 pixels of focal length 0.2 units are 0.8 pixels: variance 0.64 + 0.3.
    variance = 0.64 + LOW_PASS
    centre = 4  # of nine pixels: its centre lies at 4.5, the image centre
    for dy, dx in ((0, 0), (0, 1), (2, 1)):
        alpha = 0.8 * math.exp(-(dx * dx + dy * dy) / (2 * variance))
        expected = torch.tensor([alpha, alpha * 0.5, alpha * 0.25, alpha, alpha * 2.0])
        torch.testing.assert_close(image[centre + dy, centre + dx], expected)
    # Four pixels off the weight is 0.8·exp(−8.5), less than 1/255: nothing at all is drawn.
    assert 0.8 * math.exp(-16 / (2 * variance)) < ALPHA_MIN
    assert image[4, 8].eq(0).all()


@BACKENDS
def test_the_antialiased_form_keeps_the_area_of_a_small_gaussian(module):
    # Far below a pixel: the footprint is the filter's, the opacity falls by √(det ⁄ det filtered).
    image = one(module, **gaussian(scale=(0.05, 0.1, 0.02), opacity=0.9))
    a, c = 0.2**2, 0.4**2
    factor = math.sqrt(a * c / ((a + LOW_PASS) * (c + LOW_PASS)))
    assert image[4, 4, 3].item() == pytest.approx(0.9 * factor, rel=1e-5)
    plain = one(module, antialias=False, **gaussian(scale=(0.05, 0.1, 0.02), opacity=0.9))
    assert plain[4, 4, 3].item() == pytest.approx(0.9, rel=1e-5)


@BACKENDS
def test_image_axes_and_a_turned_gaussian(module):
    # +x is right and +y is up in the image; a quarter turn about z swaps the long and short axis.
    image = one(module, **gaussian(position=(0.5, 0.75, 0.0), scale=(0.1, 0.1, 0.1)))
    peak = image[..., 3].argmax().item()
    assert divmod(peak, 9) == (1, 6)  # 0.5 · 8/2 = 2 pixels right of 4, 3 above 4
    long = gaussian(scale=(0.4, 0.05, 0.05))
    wide = one(module, **long)[..., 3]
    half = math.sqrt(0.5)
    tall = one(module, **long | {"rotations": torch.tensor([[half, 0.0, 0.0, half]])})[..., 3]
    assert wide[4, 6] > 10 * wide[6, 4]
    torch.testing.assert_close(tall, wide.T, atol=1e-6, rtol=1e-4)


@BACKENDS
def test_the_nearer_one_covers_the_farther_one(module):
    near = gaussian((0.0, 0.0, 0.5), opacity=0.6, colour=(1.0, 0.0, 0.0))
    far = gaussian((0.0, 0.0, -0.5), opacity=0.9, colour=(0.0, 1.0, 0.0))
    expected = torch.tensor([0.6, 0.4 * 0.9, 0.0, 1 - 0.4 * 0.1, 0.6 * 1.5 + 0.36 * 2.5])
    for pair in (both(near, far), both(far, near)):
        image = one(module, antialias=False, **pair)
        torch.testing.assert_close(image[4, 4], expected)


@BACKENDS
def test_what_is_behind_the_camera_or_outside_the_image_is_not_drawn(module):
    seen = gaussian()
    strange = both(seen, gaussian((0.0, 0.0, 3.0)), gaussian((5.0, 0.0, 0.0)))
    torch.testing.assert_close(one(module, **strange), one(module, **seen))


def cloud(count, states, seed=0):
    """Leaves with gradients: a random cloud in `states` states."""
    g = torch.Generator().manual_seed(seed)
    positions = 0.3 * torch.randn(states, count, 3, generator=g)
    rotations = normalize(torch.randn(states, count, 4, generator=g), dim=-1)
    scales = 0.05 * torch.exp(0.5 * torch.randn(states, count, 3, generator=g))
    opacities = 0.02 + 0.97 * torch.rand(count, generator=g)
    state = positions, rotations, scales, opacities, torch.rand(count, 3, generator=g)
    return [t.requires_grad_() for t in state]


def cameras(count, states):
    views = world_to_camera(orbit(torch.arange(count) * 77.0, 15.0))
    return views, torch.arange(count) % states


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("views", [1, 5])  # one is cut into bands, five are not
def test_numba_is_the_reference_with_its_gradients(antialias, views):
    # A seed that leaves no pixel so near to ALPHA_MIN that rounding decides.
    state, where = cloud(60, 2, seed=5), cameras(views, 2)
    lens = focal_length(40.0, 24), 24, 20
    gradient = torch.randn(views, 24, 20, 5, generator=torch.Generator().manual_seed(1))
    found = []
    for module in (splat_reference, cpu_splat_op):
        image = module.splat(*state, *where, *lens, antialias)
        found.append((image, *torch.autograd.grad(image, state, gradient)))
    for ours, expected in zip(found[1], found[0], strict=True):
        scale = expected.abs().max().item()
        torch.testing.assert_close(ours, expected, atol=1e-5 * scale, rtol=1e-4)


def test_the_gradients_are_those_of_finite_differences():
    # In float64 the reference's gradients meet central differences; numba meets the reference.
    state = [t.detach().double().requires_grad_() for t in cloud(6, 1, seed=3)]
    views, source = cameras(2, 1)
    weights = torch.randn(2, 12, 12, 5, generator=torch.Generator().manual_seed(2)).double()

    def value(*state):
        lens = focal_length(40.0, 12), 12, 12
        return (splat_reference.splat(*state, views.double(), source, *lens) * weights).sum()

    exact = torch.autograd.grad(value(*state), state)
    for k, tensor in enumerate(state):
        flat = tensor.detach().flatten()
        for entry in range(0, len(flat), max(len(flat) // 6, 1)):
            step = torch.zeros_like(flat)
            step[entry] = 1e-6
            step = step.view_as(tensor)
            moved = [
                value(*(t + sign * step if j == k else t for j, t in enumerate(state)))
                for sign in (1, -1)
            ]
            slope = (moved[0] - moved[1]).item() / 2e-6
            assert exact[k].flatten()[entry].item() == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_dispatch_splats_with_numba_on_cpu_and_the_reference_when_told(monkeypatch):
    state, where = cloud(8, 1), cameras(1, 1)
    arguments = *state, *where, 10.0, 8, 8
    monkeypatch.delenv("ANIMATE124_KERNELS", raising=False)
    assert dispatch.splat_backend("cpu") == "numba"
    fast = dispatch.splat(*arguments)
    monkeypatch.setattr(cpu_splat_op, "splat", None)  # would break if it were called
    monkeypatch.setenv("ANIMATE124_KERNELS", "reference")
    torch.testing.assert_close(dispatch.splat(*arguments), fast, atol=1e-5, rtol=1e-4)


def test_cuda_takes_gsplat_where_it_is_installed(monkeypatch):
    monkeypatch.delenv("ANIMATE124_KERNELS", raising=False)
    for present, name in ((True, "gsplat"), (False, "reference")):
        monkeypatch.setattr(dispatch, "_has", lambda module, present=present: present)
        assert dispatch.splat_backend("cuda") == name

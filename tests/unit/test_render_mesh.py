"""The mesh renderer: textures, alpha and light by hand; the toybox's pictures as a reference."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from animate124.errors import UserError
from animate124.geometry.cameras import Cameras, orbit
from animate124.media.glb import Material, MeshPart, posed_parts, read
from animate124.media.images import composite, encode_png, linear_to_srgb, srgb_to_linear
from animate124.render.mesh import prepare, render_mesh
from animate124.toybox.characters import sample_clip
from animate124.toybox.export import export_static_glb
from animate124.toybox.render import render
from animate124.toybox.shade import light_table

CORNERS = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
UV = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
FACES = np.array([[0, 1, 2], [0, 2, 3]])
# The square at z = 0 fills the picture of a camera at distance 1 / tan(20°).
FILLS = 1.0 / np.tan(np.radians(20.0))


def camera(size=4, azimuth=0.0, radius=FILLS, elevation=0.0):
    return Cameras(orbit(azimuth, elevation, radius)[None], 40.0, size, size)


def square(z=0.0, **more):
    part = MeshPart("square", CORNERS + np.float32([0, 0, z]), FACES, uv=UV, unlit=True)
    return replace(part, **more)


def shot(*parts, samples=1, light="none", **where):
    return render_mesh(prepare(parts), camera(**where), samples, light)[0]


def test_a_texture_is_shown_texel_by_texel():
    picture = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    found = shot(square(texture=encode_png(picture)))
    np.testing.assert_allclose(found[..., :3] * 255, picture, atol=0.6)
    assert (found[..., 3] == 1).all()


def test_between_texels_light_is_mixed_linearly():
    picture = np.zeros((1, 2, 3))
    picture[0, 1] = 1.0
    found = shot(square(texture=encode_png(picture)), size=8)
    # Pixel 3 has its centre at u = 3.5 / 8: at 0.375 of the way from the first texel to the second.
    assert found[0, 3, 0] == pytest.approx(float(linear_to_srgb(np.float32(0.375))), abs=2e-3)
    # Pixel 0 lies outside the texels' centres, where the picture repeats: at -0.375, half way back.
    assert found[0, 0, 0] == pytest.approx(
        float(linear_to_srgb(np.float32(0.4375 - 0.0625))), abs=2e-3
    )
    clamped = square(texture=encode_png(picture), material=Material(wrap=(33071, 33071)))
    assert shot(clamped, size=8)[0, 0, 0] == 0.0


def test_small_textures_average_in_linear_light():
    checks = (np.indices((64, 64)).sum(0) % 2).astype(float)
    found = shot(square(texture=encode_png(checks)), size=4)
    np.testing.assert_allclose(found[..., :3], linear_to_srgb(np.float32(0.5)), atol=2e-3)


def test_perspective_correct_coordinates():
    """A square tilted about x: row y sees the v that its ray's crossing with the plane has."""
    tilt = np.radians(60.0)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    ramp = np.repeat(np.linspace(0, 1, 64)[:, None], 2, 1)
    part = square(vertices=(CORNERS @ turn.T).astype(np.float32), texture=encode_png(ramp))
    found = shot(part, size=9)[:, 4]
    step = 2 * np.tan(np.radians(20.0)) / 9
    slope = (4 - np.arange(9)) * step  # y per unit of depth
    # (0, s cos, s sin): s cos = slope · (FILLS - s sin)
    along = slope * FILLS / (np.cos(tilt) + slope * np.sin(tilt))
    inside = np.abs(along) < 0.95
    expected = (0.5 - along / 2) * 64 / 63 - 0.5 / 63
    assert inside.sum() >= 3
    np.testing.assert_allclose(found[inside, 0], expected[inside], atol=0.02)


def test_backs_show_only_where_they_should():
    assert shot(square(), azimuth=180.0)[..., 3].max() == 0
    both = square(material=Material(double_sided=True), base_color=(1, 0, 0, 1))
    seen = shot(both, azimuth=180.0)
    np.testing.assert_allclose(seen, np.broadcast_to([1, 0, 0, 1], seen.shape), atol=1e-6)


def test_see_through_surfaces_are_laid_over_one_another():
    red = square(0.2, base_color=(1, 0, 0, 0.5))
    green = square(0.1, base_color=(0, 1, 0, 0.5))
    blue = square(0.0, base_color=(0, 0, 1, 1))
    found = shot(blue, red, green, radius=FILLS + 0.2)[1:3, 1:3]
    np.testing.assert_allclose(
        found[..., :3], np.broadcast_to([0.5, 0.25, 0.25], (2, 2, 3)), atol=1e-5
    )
    found = shot(red, green, radius=FILLS + 0.2)[1:3, 1:3]
    np.testing.assert_allclose(found[..., 3], 0.75, atol=1e-5)
    np.testing.assert_allclose(found[..., 0], 0.5 / 0.75, atol=1e-5)


def test_alpha_that_the_material_ignores_and_alpha_that_cuts():
    picture = np.ones((4, 4, 4))
    picture[:2, :, 3] = 0.3
    leaf = square(texture=encode_png(picture), base_color=(1, 1, 1, 1))
    opaque = replace(leaf, material=Material(alpha_mode="OPAQUE"))
    assert (shot(opaque)[..., 3] == 1).all()
    cut = replace(leaf, material=Material(alpha_mode="MASK", alpha_cutoff=0.5))
    alpha = shot(cut)[..., 3]
    assert (alpha[0] == 0).all() and (alpha[3] == 1).all()
    behind = square(-0.1, base_color=(0, 0, 1, 1))
    through = shot(behind, cut)
    np.testing.assert_allclose(through[0, 1], [0, 0, 1, 1], atol=1e-6)


def test_the_studio_light_is_the_toyboxs():
    grey = square(base_color=(0.5, 0.5, 0.5, 1), unlit=False)
    sky, ground, lamp, direction = light_table()
    level = (sky + ground) / 2 + lamp * (0.5 + 0.5 * direction[2]) ** 2  # the normal is +z
    expected = linear_to_srgb(srgb_to_linear(np.float32(0.5)) * level)
    np.testing.assert_allclose(shot(grey, light="studio")[1, 1, :3], expected, atol=1e-5)
    given = replace(grey, normals=np.tile(np.float32([0, 1, 0]), (4, 1)))
    level = sky + lamp * (0.5 + 0.5 * direction[1]) ** 2
    expected = linear_to_srgb(srgb_to_linear(np.float32(0.5)) * level)
    np.testing.assert_allclose(shot(given, light="studio")[1, 1, :3], expected, atol=1e-5)
    assert shot(replace(grey, unlit=True), light="studio")[1, 1, 0] == pytest.approx(0.5, abs=1e-6)


def test_coverage_and_vertex_colours():
    half = MeshPart(
        "half", CORNERS, FACES[:1], colors=np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    )
    found = shot(half, samples=4, size=2)
    # Below the diagonal of 8 x 8 samples; those upon it may fall to either side.
    assert found[1, 1, 3] == 1 and found[0, 1, 3] == pytest.approx(0.5, abs=0.13)
    assert 28 / 64 <= found[..., 3].mean() <= 36 / 64
    assert found[1, 1, 1] == found[1, 1, :3].max()  # green's corner


def test_shapes_move_the_vertices():
    scene = prepare([square()])
    shapes = np.stack([CORNERS, CORNERS + np.array([0, 0, 100.0])])
    cameras = Cameras(camera().c2w.repeat(2, 1, 1), 40.0, 4, 4)
    found = render_mesh(scene, cameras, shapes=shapes, which=np.array([0, 1]))
    assert found[0, ..., 3].min() == 1 and found[1, ..., 3].max() == 0


def test_a_toybox_character_looks_as_in_its_own_pictures(tmp_path):
    clip = sample_clip(119, "robot")
    cameras = Cameras(orbit(torch.tensor([0.0, 140.0]), 15.0), 40.0, 64, 64)
    truth = render(clip, np.zeros(1), cameras, 2, (1, 1, 1), ("rgb", "alpha"))
    export_static_glb(clip, tmp_path / "a.glb")
    scene = prepare(posed_parts(read(tmp_path / "a.glb")))
    psnr = {}
    for light in ("none", "studio"):
        found = render_mesh(scene, cameras, 2, light)
        assert np.abs(found[..., 3] - truth.alpha[:, 0, ..., 0]).mean() < 2e-3
        error = composite(found[..., :3], found[..., 3]) - truth.rgb[:, 0]
        psnr[light] = -10 * np.log10(np.square(error).mean())
    assert psnr["studio"] > 36 and psnr["studio"] > psnr["none"] + 10


def test_a_texture_that_is_no_picture_is_named():
    with pytest.raises(UserError, match="material 'square'"):
        prepare([square(texture=b"\x89PNG nothing")])
    with pytest.raises(ValueError, match="light"):
        shot(square(), light="moon")

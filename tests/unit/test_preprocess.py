"""The stage `preprocess`: mattes, placement, depth and normals, and the shipped pictures."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import io
import json
import math
import runpy
import struct
import zlib

import numpy as np
import pytest
import torch
import yaml
from bad_input import animate124, assert_one_sentence  # noqa: F401
from PIL import Image
from test_priors_depth import tiny_dpt

from animate124.geometry.cameras import DEFAULT_FOV_Y, DEFAULT_RADIUS, Cameras, orbit, rays
from animate124.media.images import composite, encode_png, read_image, write_grey16, write_png
from animate124.settings.preprocess import PreprocessSettings
from animate124.stages.models import Models
from animate124.stages.preprocess import preprocess
from animate124.stages.preprocess_matte import before_backdrop, clean, firm, own_colours
from animate124.stages.preprocess_shape import (
    Box,
    Placement,
    cut,
    distances,
    nearness,
    normals,
    place,
)
from animate124.toybox.characters import motions_of, sample_clip
from animate124.toybox.splits import seeds, split_of
from animate124.zoo import data

SCENES = ("dinosaur", "fox", "frog", "panda", "penguin", "robot")


def disc(size=64, radius=18.0, centre=(32.0, 32.0)):
    """Coverage [size, size] of a disc at `centre` (x, y), by 8 x 8 samples a pixel."""
    fine = (np.arange(8 * size) + 0.5) / 8
    hit = (fine[None] - centre[0]) ** 2 + (fine[:, None] - centre[1]) ** 2 < radius**2
    return hit.reshape(size, 8, size, 8).mean((1, 3)).astype(np.float32)


def square(size, left, top, right, bottom):
    made = np.zeros((size, size), np.float32)
    made[top:bottom, left:right] = 1.0
    return made


def iou(a, b):
    a, b = a > 0.5, b > 0.5
    return (a & b).sum() / (a | b).sum()


# --- the matte


def test_specks_small_holes_and_far_haze_go():
    alpha = square(40, 10, 10, 30, 30)  # 400 pixels
    alpha[18:20, 18:20] = 0.0  # a hole of 4, 1 % of it
    alpha[22:28, 12:18] = 0.1  # one of 36, 9 %
    alpha[2:6, 2:6] = 1.0  # 16 pixels, 4.4 % of the 360 that are left
    alpha[9, 10:30] = 0.3  # its soft edge
    alpha[6, 10:30] = 0.2  # haze, 4 pixels above it
    alpha[1, 2:6] = 0.4  # the soft edge of the speck
    alpha[35:40, 10:30] = 0.9  # 100 pixels
    cleaned = clean(alpha, keep=0.1, holes=0.02, reach=3.0)
    assert (cleaned[18:20, 18:20] == 1.0).all() and (cleaned[22:28, 12:18] < 0.2).all()
    assert (cleaned[:6, :7] == 0.0).all() and (cleaned[6] == 0.0).all()
    assert (cleaned[9, 10:30] == np.float32(0.3)).all()
    assert (cleaned[35:40, 10:30] == np.float32(0.9)).all()
    alone = clean(alpha, keep=0.5, holes=0.2)
    assert (alone[35:] == 0.0).all() and (alone[22:28, 12:18] == 1.0).all()
    assert (alone[6, 10:30] == np.float32(0.2)).all()  # no limit was given
    assert (clean(np.full((8, 8), 0.4), 0.1, 0.1) == 0.0).all()


def test_doubts_are_settled_symmetrically():
    assert firm(np.array([0.05, 0.1, 0.3, 0.5, 0.9, 1.0])).tolist() == pytest.approx(
        [0.0, 0.0, 0.25, 0.5, 1.0, 1.0], abs=1e-6
    )


def scene(alpha, colour=(0.8, 0.2, 0.1)):
    """A subject of one colour before a gradient: the picture and the gradient."""
    size = len(alpha)
    down = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    ground = np.float32((0.5, 0.6, 0.9)) + down * np.float32((0.3, 0.2, 0.1))
    ground = np.broadcast_to(ground, (size, size, 3))
    return composite(np.broadcast_to(np.float32(colour), ground.shape), alpha, ground), ground


def test_a_plain_backdrop_gives_the_exact_matte():
    """Though the network missed half of the subject, and found something else."""
    truth = disc()
    picture, _ = scene(truth)
    network = np.where(np.arange(64)[None] < 32, truth, 0.0)
    network[5:8, 5:8] = 0.7
    found = before_backdrop(picture, network)
    assert iou(found, truth) > 0.995 and np.abs(found - truth).mean() < 2e-3
    edge = (truth > 0) & (truth < 1)
    assert np.abs(found - truth)[edge].mean() < 0.05
    colours = own_colours(picture, found)
    torch.testing.assert_close(
        torch.from_numpy(colours[found > 0]).mean(0),
        torch.tensor([0.8, 0.2, 0.1]),
        atol=5e-3,
        rtol=0,
    )


def test_what_only_darkens_is_a_shadow_unless_the_network_says_otherwise():
    truth = disc()
    picture, ground = scene(truth)
    shade = square(64, 20, 52, 44, 58).astype(bool)
    picture = np.where(shade[..., None], ground * 0.8, picture).astype(np.float32)
    assert before_backdrop(picture, truth)[shade].max() == 0.0
    assert before_backdrop(picture, np.maximum(truth, shade))[shade].min() > 0.99


def test_what_the_network_is_sure_of_stays_though_it_has_the_backdrop_s_colour():
    truth = disc()
    picture, ground = scene(truth)
    belly = disc(radius=8.0) > 0.5
    picture = np.where(belly[..., None], ground, picture).astype(np.float32)
    assert before_backdrop(picture, truth)[belly].min() > 0.99
    assert before_backdrop(picture, np.where(belly, 0.0, truth))[28:36, 28:36].max() < 0.5


def test_no_backdrop_is_seen_where_there_is_none():
    truth = disc()
    noise = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    assert before_backdrop(noise, truth) is None
    assert before_backdrop(scene(truth)[0], np.ones((64, 64))) is None  # no border is free
    # In a picture of nothing the network's subject is none.
    assert (before_backdrop(scene(truth)[1], truth) == 0.0).all()


# --- the placement


def test_the_box_and_the_edges_it_touches():
    box = Box.around(square(50, 10, 20, 30, 50))
    assert box == Box(10, 20, 30, 50) and box.larger == 30 and box.centre == (20.0, 35.0)
    assert box.touched(50, 50) == ["bottom"] and box.touched(60, 30) == ["right"]
    assert Box.around(np.full((4, 4), 0.5)) is None


def test_the_subject_is_scaled_to_its_share_and_centred():
    settings = PreprocessSettings(fill=0.5, recentre="always")
    # Larger side 30: an edge of 60, about (20, 35).
    assert place(Box(10, 20, 30, 50), 100, 80, settings) == Placement(-10, 5, 60, True)
    assert place(Box(10, 20, 30, 50), 100, 80, settings.model_copy(update={"fill": 0.75})) == (
        Placement(0, 15, 40, True)
    )


def test_what_sits_well_is_left_and_never_only_pads():
    well = Box(75, 60, 180, 200)  # 140 of 256 is 0.547, centre (0.498, 0.508)
    whole = Placement(0, 0, 256, False)
    assert place(well, 256, 256, PreprocessSettings()) == whole
    assert place(well, 256, 256, PreprocessSettings(recentre="always")).moved
    for other in (
        {"fill": 0.85},  # 0.64 of it
        {"size_slack": 0.08},  # 0.911 of 0.6
        {"centre_slack": 0.005},
    ):
        assert place(well, 256, 256, PreprocessSettings(**other)).moved, other
    assert place(well, 256, 300, PreprocessSettings()).moved
    assert place(well, 256, 300, PreprocessSettings(recentre="never")) == (
        Placement(0, -22, 300, True)
    )


def test_cutting_pads_with_nothing_and_averages_by_area():
    rgba = np.ones((4, 4, 4), np.float32)
    rgba[..., :3] = np.arange(4)[None, :, None] / 4
    made = cut(rgba, Placement(-2, -2, 8, True), 4)
    assert made[..., 3].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert made[1, 1:3, 0].tolist() == pytest.approx([0.125, 0.625])
    assert cut(rgba, Placement(1, 1, 2, True), 8).shape == (8, 8, 4)


def test_the_default_framing_is_that_of_the_toybox():
    sizes, places = [], []
    for seed in seeds("test", 16):
        rgba = data.look(sample_clip(seed), *(np.zeros(1),) * 3, size=64, samples=1).rgba
        box = Box.around(rgba[0, 0, 3].numpy())
        sizes.append(box.larger / 64)
        places.append(np.array(box.centre) / 64)
        assert not place(box, 64, 64, PreprocessSettings()).moved
    assert np.mean(sizes) == pytest.approx(PreprocessSettings().fill, abs=0.05)
    assert np.mean(places, 0) == pytest.approx([0.5, 0.5], abs=0.03)


# --- depth and normals


def test_nearness_is_a_share_inside_and_nothing_outside():
    alpha = np.ones((10, 100), np.float32)
    alpha[0] = 0.0
    relative = np.broadcast_to(np.arange(100, dtype=np.float32), (10, 100)) * 3 + 7
    near = nearness(relative, alpha)
    # Percentiles 2 and 98 of 0 … 99 are 1.98 and 97.02.
    assert near[5, 50] == pytest.approx((50 - 1.98) / 95.04, abs=1e-5)
    assert near[5, 99] == 1.0 and 0.0 < near[5, 0] < 2e-5 and (near[0] == 0.0).all()
    assert (nearness(np.ones((10, 100)), alpha)[1:] > 0).all()  # flat: no division by 0


def test_distances_lie_between_the_centre_and_two_fifths_of_the_subject_before_it():
    alpha = square(64, 16, 16, 48, 48)
    found = distances(np.array([[0.0, 1.0, 0.5]]), alpha)[0]
    side = 2 * DEFAULT_RADIUS * math.tan(math.radians(DEFAULT_FOV_Y / 2)) / 2
    near = DEFAULT_RADIUS - 0.4 * side
    assert found[:2] == pytest.approx([DEFAULT_RADIUS, near], abs=1e-6)
    assert 1 / found[2] == pytest.approx((1 / DEFAULT_RADIUS + 1 / near) / 2, abs=1e-6)


def ball(size=128, radius=0.5):
    """Planar distance, coverage and camera-space normals of a ball at the origin."""
    camera = Cameras(orbit(torch.zeros(1)), DEFAULT_FOV_Y, size, size)
    origin, direction = (x[0].double() for x in rays(camera))
    half = (origin * direction).sum(-1)
    inside = half**2 - (origin.square().sum(-1) - radius**2)
    along = -half - inside.clamp(min=0).sqrt()
    points = origin + along[..., None] * direction
    alpha = (inside > 0).numpy().astype(np.float32)
    # At azimuth 0 the camera's axes are the world's.
    return (DEFAULT_RADIUS - points[..., 2]).numpy(), alpha, (points / radius).numpy()


def test_normals_of_a_ball():
    distance, alpha, truth = ball()
    found = normals(distance, alpha)
    inside = alpha > 0.5
    assert np.linalg.norm(found[inside], axis=-1) == pytest.approx(1.0, abs=1e-5)
    assert (found[~inside] == 0).all()
    angle = np.degrees(np.arccos(np.clip((found * truth).sum(-1), -1, 1)))
    facing = inside & (truth[..., 2] > 0.5)  # within 60 degrees
    assert angle[facing].mean() < 1.5 and angle[facing].max() < 8.0
    assert found[64, 90, 0] > 0.3 and found[40, 64, 1] > 0.3  # right is +x, up is +y


def test_normals_of_a_ball_from_depth_in_no_scale():
    """The relief is a guess, but for a ball not a bad one."""
    distance, alpha, truth = ball()
    near = nearness(5.0 / np.where(alpha > 0, distance, 1.0) - 2.0, alpha)
    found = normals(distances(near, alpha), alpha)
    facing = (alpha > 0.5) & (truth[..., 2] > 0.5)
    angle = np.degrees(np.arccos(np.clip((found * truth).sum(-1), -1, 1)))
    assert angle[facing].mean() < 8.0


def test_16_bit_pictures_keep_their_bits(tmp_path):
    plane = np.array([[0.0, 1 / 65535, 0.5, 1.0, 2.0]], np.float32)
    write_grey16(tmp_path / "d.png", plane)
    assert Image.open(tmp_path / "d.png").mode.startswith("I")
    back = read_image(tmp_path / "d.png")[..., 0] * 65535
    assert back.tolist() == [pytest.approx([0, 1, 32768, 65535, 65535], abs=1e-2)]
    with pytest.raises(ValueError, match="without NaN"):
        write_grey16(tmp_path / "e.png", plane * np.nan)


# --- the stage


def run(image, out, **values):
    values = {"size": 64, **values}
    return preprocess(image, out, PreprocessSettings(**values), Models("nano"))


def test_a_cut_out_that_sits_well_comes_out_as_it_was(tmp_path, root):
    source = root / "config" / "inputs" / "panda.png"
    record = run(source, tmp_path / "out", size=256)
    was, made = read_image(source), read_image(tmp_path / "out" / "rgba.png")
    assert (was[..., 3] == made[..., 3]).all()
    shown = was[..., 3] > 0.02  # 8-bit colours of what is hardly there cannot come back
    assert np.abs(was - made)[shown].max() < 0.5 / 255 + 1e-6
    assert (read_image(tmp_path / "out" / "mask.png")[..., 0] == made[..., 3]).all()
    assert record["matte"] == "its own" and record["warnings"] == []
    assert [prior["role"] for prior in record["priors"]] == ["depth"]
    assert record["placement"] == {"left": 0, "top": 0, "edge": 256, "moved": False}
    assert record == json.loads((tmp_path / "out" / "stage.json").read_text())
    near = read_image(tmp_path / "out" / "depth.png")[..., 0]
    assert record["depth"] == "nano/depth" and near[made[..., 3] == 0].max() == 0
    assert near.max() == 1 and near[made[..., 3] > 0.9].std() > 0.1


def test_a_small_cut_out_to_the_side_is_brought_to_the_middle(tmp_path):
    rgba = np.zeros((100, 200, 4), np.float32)
    rgba[10:40, 150:170] = (1.0, 0.5, 0.0, 1.0)
    rgba[80, 20] = 1.0  # a speck
    write_png(tmp_path / "in.png", rgba)
    record = run(tmp_path / "in.png", tmp_path / "out", fill=0.5)
    made = read_image(tmp_path / "out" / "rgba.png")
    assert made.shape == (64, 64, 4)
    box = Box.around(made[..., 3])
    assert box == Box(21, 16, 43, 48)  # 30 of 60 pixels are 32 of 64, 20 are 21.3
    assert made[32, 32].tolist() == pytest.approx([1.0, 0.5, 0.0, 1.0], abs=0.01)
    assert record["placement"] == {"left": 130, "top": -5, "edge": 60, "moved": True}
    assert record["subject"] == 0.5


def test_a_subject_that_is_cut_off_is_warned_of(tmp_path, animate124, capsys, monkeypatch):
    rgba = np.zeros((64, 64, 4), np.float32)
    rgba[20:, 20:50] = 1.0
    write_png(tmp_path / "in.png", rgba)
    status, errors = animate124(
        "preprocess", str(tmp_path / "in.png"), "--out", str(tmp_path / "out"), "--device", "cpu"
    )
    assert status == 0 and errors.startswith("warning: The subject reaches the bottom edge")
    record = json.loads((tmp_path / "out" / "stage.json").read_text())
    assert len(record["warnings"]) == 1 and "bottom" in record["warnings"][0]


def palette(rgb, alpha):
    image = Image.fromarray((rgb * 255).astype(np.uint8)).quantize(15)
    pixels = np.asarray(image) + 1
    pixels[alpha < 0.5] = 0
    made = Image.fromarray(pixels.astype(np.uint8), "P")
    made.putpalette([0, 0, 0, *image.getpalette()[:45]])
    buffer = io.BytesIO()
    made.save(buffer, "PNG", transparency=0)
    return buffer.getvalue()


def turned_jpeg(rgb):
    """A JPEG that lies on its side; its EXIF says so (6: turn it clockwise to see it)."""
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray((np.rot90(rgb) * 255).astype(np.uint8)).save(
        buffer, "JPEG", quality=95, subsampling=0, exif=exif
    )
    return buffer.getvalue()


def grey16(rgb):
    buffer = io.BytesIO()
    Image.fromarray((rgb.mean(-1) * 65535).astype(np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


def webp(rgb, alpha):
    buffer = io.BytesIO()
    rgba = (np.concatenate([rgb, alpha[..., None]], 2) * 255).astype(np.uint8)
    Image.fromarray(rgba).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "least"), [("palette", 0.999), ("webp", 0.999), ("jpeg", 0.95), ("grey16", 0.95)]
)
def test_pictures_of_all_kinds(tmp_path, kind, least):
    """A frog higher than it is wide, however it is stored."""
    clip = sample_clip(259, "frog", "jumping")
    rgba = data.look(clip, *(np.zeros(1),) * 3, size=96, samples=3).rgba[0, 0]
    alpha = rgba[3].numpy()
    rgb = data.over(rgba, 0.9).permute(1, 2, 0).numpy()
    made = {
        "palette": lambda: palette(rgb, alpha),
        "jpeg": lambda: turned_jpeg(rgb),
        "grey16": lambda: grey16(rgb),
        "webp": lambda: webp(rgb, alpha),
    }[kind]()
    (tmp_path / "in").write_bytes(made)
    run(tmp_path / "in", tmp_path / "out", size=96)
    assert iou(read_image(tmp_path / "out" / "rgba.png")[..., 3], alpha) > least


def test_a_small_subject_in_a_busy_picture_is_looked_at_twice(tmp_path):
    """A fifth of the edge, before patches of colour."""
    clip = sample_clip(139, "panda", "dancing")
    rgba = data.look(clip, *(np.zeros(1),) * 3, size=120).rgba[0, 0].numpy()
    ground = data.backgrounds(np.random.default_rng(5), 1, 360)[0].numpy().copy()
    ground[:, 200:320, 60:180] = rgba[:3] + (1 - rgba[3]) * ground[:, 200:320, 60:180]
    write_png(tmp_path / "in.png", ground.transpose(1, 2, 0))
    record = run(tmp_path / "in.png", tmp_path / "out", backdrop="off")
    truth = np.zeros((360, 360, 4), np.float32)
    truth[200:320, 60:180, 3] = rgba[3]
    square = Placement(**record["placement"])
    assert (
        iou(read_image(tmp_path / "out" / "rgba.png")[..., 3], cut(truth, square, 64)[..., 3]) > 0.9
    )


def depth_profile(tmp_path):
    tiny_dpt(tmp_path / "dpt")
    entry = {"model": str(tmp_path / "dpt"), "source": "folder", "licence": "x"}
    profile = {"about": "a test", "roles": {"depth": entry | {"allow_patterns": ["*"]}}}
    (tmp_path / "deep.yaml").write_text(yaml.safe_dump(profile))
    return Models(tmp_path / "deep.yaml")


def test_with_a_depth_model_there_are_maps_and_without_there_are_none(tmp_path, root):
    image, out = root / "config" / "inputs" / "frog.png", tmp_path / "out"
    models = depth_profile(tmp_path)
    record = preprocess(image, out, PreprocessSettings(size=32), models)
    depth, normal = read_image(out / "depth.png"), read_image(out / "normal.png")
    alpha = read_image(out / "rgba.png")[..., 3]
    inside = alpha > 0.5
    assert depth.shape == normal.shape == (32, 32, 3)
    assert (depth[~inside] == 0).all() and (depth[inside] > 0).all() and depth.max() == 1.0
    vectors = normal * 2 - 1
    assert np.linalg.norm(vectors[inside], axis=-1) == pytest.approx(1.0, abs=0.02)
    assert (vectors[inside][:, 2] > 0).mean() > 0.9  # what is seen faces the camera
    assert record["depth"] == str(tmp_path / "dpt")
    assert [used["role"] for used in record["priors"]] == ["depth"]
    # Maps of an earlier run do not stay beside a picture that has none.
    record = preprocess(image, out, PreprocessSettings(size=32, depth="off"), models)
    assert record["depth"] == "none: switched off"
    assert sorted(p.name for p in out.iterdir()) == ["mask.png", "rgba.png", "stage.json"]


# --- the shipped pictures


def drawing(root):
    return runpy.run_path(str(root / "workflow" / "scripts" / "draw_inputs.py"))


def test_a_shipped_picture_is_drawn_anew_to_the_byte(root):
    picture = drawing(root)["picture"]("robot")
    assert encode_png(picture) == (root / "config" / "inputs" / "robot.png").read_bytes()


def test_shipped_scenes_are_of_the_test_split(root):
    folder = root / "config"
    assert tuple(sorted(p.stem for p in (folder / "inputs").glob("*.png"))) == SCENES
    kinds = set()
    for name in SCENES:
        truth = yaml.safe_load((folder / "truth" / f"{name}.yaml").read_text())
        assert sorted(truth) == ["motion", "seed", "species"]
        assert split_of(truth["seed"]) == "test" and truth["species"] == name
        assert truth["motion"] in motions_of(name)
        kinds.add(truth["motion"])
        image = read_image(folder / "inputs" / f"{name}.png")
        assert image.shape[:2] == (256, 256)
    assert len(kinds) == 6


def test_a_shipped_picture_before_a_backdrop_is_cut_out_well(tmp_path, root):
    made = drawing(root)
    record = run(root / "config" / "inputs" / "fox.png", tmp_path / "out", size=256)
    assert record["matte"] == "found" and not record["placement"]["moved"]
    rgba = read_image(tmp_path / "out" / "rgba.png")
    made["BACKDROPS"].pop("fox")
    truth = made["picture"]("fox")
    assert iou(rgba[..., 3], truth[..., 3]) > 0.99
    over = [composite(x[..., :3], x[..., 3], 1.0) for x in (rgba, truth)]
    assert np.abs(over[0] - over[1]).mean() < 2e-3


# --- what is refused


def opaque(tmp_path, rgb):
    write_png(tmp_path / "in.png", np.asarray(rgb, np.float32))


def with_alpha(tmp_path, alpha):
    rgb = np.full((*alpha.shape, 3), 0.5, np.float32)
    opaque(tmp_path, np.concatenate([rgb, alpha[..., None]], 2))


def huge(tmp_path):
    """A PNG whose header claims 20000 x 20000 pixels."""
    png = encode_png(np.zeros((8, 8, 3), np.uint8))
    header = b"IHDR" + struct.pack(">II", 20000, 20000) + png[24:29]
    claimed = png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]
    (tmp_path / "in.png").write_bytes(claimed)


def gif(tmp_path):
    Image.new("P", (64, 64)).save(tmp_path / "in.png", "GIF")


def cut_short(tmp_path):
    with_alpha(tmp_path, disc())
    path = tmp_path / "in.png"
    path.write_bytes(path.read_bytes()[:200])


def profile_without_matting(tmp_path):
    opaque(tmp_path, scene(disc())[0])
    (tmp_path / "bare.yaml").write_text("about: nothing in it\n")


def profile_whose_depth_is_absent(tmp_path):
    good(tmp_path)
    depth = "model: ./gone, licence: MIT, commercial: true, allow_patterns: [config.json]"
    (tmp_path / "bare.yaml").write_text(f"about: x\nroles: {{depth: {{{depth}}}}}\n")


def foreign(tmp_path):
    with_alpha(tmp_path, disc())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")


def file_in_the_way(tmp_path):
    with_alpha(tmp_path, disc())
    (tmp_path / "out").write_text("x")


def good(tmp_path):
    with_alpha(tmp_path, disc())


# Name: what lies there, further arguments, words of the sentence.
BAD = {
    "no image": (lambda t: None, (), ("in.png does not exist", "check the path")),
    "a folder": (lambda t: (t / "in.png").mkdir(), (), ("in.png is a folder", "give a file")),
    "empty": (lambda t: (t / "in.png").write_bytes(b""), (), ("in.png is empty", "another file")),
    "text": (
        lambda t: (t / "in.png").write_text("a panda is dancing"),
        (),
        ("damaged or not a PNG, JPEG or WebP", "convert it"),
    ),
    "a GIF": (gif, (), ("damaged or not a PNG, JPEG or WebP", "convert it")),
    "cut short": (cut_short, (), ("in.png is damaged or cut short", "another file")),
    "too large": (huge, (), ("8192 x 8192 pixels", "make it smaller")),
    "too small": (
        lambda t: opaque(t, np.ones((300, 12, 3))),
        (),
        ("12 x 300 pixels, too few", "at least 16 x 16"),
    ),
    "transparent": (
        lambda t: with_alpha(t, np.zeros((64, 64), np.float32)),
        (),
        ("is transparent everywhere", "shows something"),
    ),
    "hardly there": (
        lambda t: with_alpha(t, disc() * 0.4),
        (),
        ("is transparent everywhere", "shows something"),
    ),
    "of one colour": (
        lambda t: opaque(t, np.ones((64, 64, 3))),
        (),
        ("No subject was found in the image", "before a plain backdrop", "cut it out"),
    ),
    "full frame": (
        lambda t: with_alpha(t, np.maximum(square(64, 1, 1, 64, 64), 0.0)),
        (),
        ("fills the image in.png up to its border", "outline is unknown", "cut it out"),
    ),
    "a frame only": (
        lambda t: with_alpha(t, 1 - square(64, 2, 2, 62, 62)),
        (),
        ("fills the image in.png up to its border", "cut it out"),
    ),
    "a dot": (
        lambda t: with_alpha(t, disc(radius=5.0)),
        (),
        ("is 10 pixels large where the image is 64", "crop the image"),
    ),
    "no matting model": (
        profile_without_matting,
        ("--profile", "bare.yaml"),
        ("profile bare names no matting model", "choose another profile"),
    ),
    "no depth model": (
        profile_whose_depth_is_absent,
        ("--profile", "bare.yaml", "--set", "depth=on"),
        ("The depth model", "gone", "is absent"),
    ),
    "unknown profile": (good, ("--profile", "nan"), ("Unknown priors profile", "'nano'")),
    "unknown setting": (good, ("--set", "sise=64"), ("Unknown setting 'sise'", "'size'")),
    "bad value": (good, ("--set", "fill=2"), ("'fill' cannot be '2'", "≤ 0.95")),
    "bad choice": (good, ("--set", "depth=yes"), ("'depth' cannot be 'yes'", "auto, on, off")),
    "not a setting": (good, ("--set", "size"), ("not of the form key=value",)),
    "bad JSON": (good, ("--settings-json", "{"), ("not valid JSON",)),
    "no such device": (good, ("--device", "cuda:77"), ("There is no device 'cuda:77'",)),
    "results in a file": (file_in_the_way, (), ("out is a file", "give a folder")),
    "results among others": (foreign, (), ("holds other files ('thesis.tex')", "empty or new")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_in_one_sentence_and_leaves_nothing(name, tmp_path, monkeypatch, animate124):
    prepare, more, words = BAD[name]
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    more = more if "--device" in more else (*more, "--device", "cpu")
    status, errors = animate124("preprocess", "in.png", "--out", "out", *more)
    assert status == 2
    assert_one_sentence(errors, words)
    assert tree(tmp_path) == before


def tree(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }

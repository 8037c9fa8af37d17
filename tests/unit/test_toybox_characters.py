"""Characters: size, variety, splits, and that a seed is a character for ever."""

import numpy as np
import pytest

from animate124.errors import UserError
from animate124.toybox import gallery
from animate124.toybox.bounds import bounding_points, enclosing_ball
from animate124.toybox.characters import (
    SPECIES,
    motions_of,
    sample_character,
    sample_clip,
    sample_rig,
)
from animate124.toybox.motions import MOTIONS
from animate124.toybox.rig import KINDS, PATTERNS, Joint, JointPose, Pose, Rig, joint_matrices
from animate124.toybox.species.build import direction_rotation, euler_matrix, on_ellipsoid
from animate124.toybox.species.palette import COLORS, name_of, pick
from animate124.toybox.splits import seeds, split_of


def _fingerprint(rig: Rig) -> bytes:
    return repr((rig.joints, rig.parts)).encode()


def test_there_are_enough_species_and_every_part_is_well_formed():
    assert len(SPECIES) >= 20
    for name in SPECIES:
        rig = sample_rig(3, name)
        assert 15 <= len(rig.parts) <= 64
        names = [part.name for part in rig.parts]
        assert len(set(names)) == len(names), f"{name} has two parts of one name"
        joints = [joint.name for joint in rig.joints]
        assert len(set(joints)) == len(joints)
        for i, joint in enumerate(rig.joints):
            assert joint.parent is None or joint.parent in joints[:i]
        assert rig.joints[0].pivot == (0.0, 0.0, 0.0)
        for part in rig.parts:
            assert part.kind in KINDS and part.paint.pattern in PATTERNS
            assert part.joint in joints
            assert min(part.size[:2]) > 0.0
            assert all(0.0 <= v <= 1.0 for v in (*part.paint.base, *part.paint.accent))


@pytest.mark.parametrize("species", SPECIES)
def test_rest_characters_fill_the_rest_sphere(species):
    for seed in range(8):
        points, _ = bounding_points(sample_rig(seed, species))
        reach = np.linalg.norm(points, axis=-1).max()
        assert 0.54 < reach <= 0.56


@pytest.mark.parametrize("species", SPECIES)
def test_toys_are_mirror_images_but_for_dress(species):
    rig = sample_rig(5, species)
    parts = {part.name: part for part in rig.parts}
    pairs = [name for name in parts if name.endswith(".l") and not name.startswith("glint")]
    assert pairs or species in ("snowman",)
    for name in pairs:
        left, right = parts[name], parts[name[:-1] + "r"]
        x, y, z = left.position
        assert right.position == pytest.approx((-x, y, z), abs=1e-9)
        # The subject's left is +x; mouths start at the middle.
        assert x > -1e-9


def test_a_seed_is_the_same_bytes_every_time_and_splits_share_no_character():
    rigs = {split: seeds(split, 500) for split in ("train", "dev", "test")}
    prints = {split: {_fingerprint(sample_rig(s)) for s in rigs[split]} for split in rigs}
    for split, seen in prints.items():
        assert len(seen) == 500, f"two {split} seeds are one character"
    assert not prints["train"] & prints["dev"]
    assert not prints["train"] & prints["test"]
    assert not prints["dev"] & prints["test"]
    for seed in (0, 18, 19, 12345):
        assert _fingerprint(sample_rig(seed)) == _fingerprint(sample_rig(seed))
        a, b = sample_clip(seed), sample_clip(seed)
        assert (a.caption, a.motion) == (b.caption, b.motion)
        first, second = (joint_matrices(c.rig, c.pose(0.3)).tobytes() for c in (a, b))
        assert first == second


def test_split_shares_and_enumeration():
    names = [split_of(seed) for seed in range(2000)]
    assert {n: names.count(n) for n in set(names)} == {"train": 1800, "dev": 100, "test": 100}
    assert seeds("train", 20) == [*range(18), 20, 21]
    assert seeds("train", 2, start=18) == [20, 21]
    assert seeds("dev", 3) == [18, 38, 58]
    assert seeds("test", 2, start=1) == [39, 59]
    with pytest.raises(UserError, match="train, dev, test"):
        seeds("validation", 1)
    with pytest.raises(UserError, match="negative"):
        split_of(-1)
    with pytest.raises(UserError, match="negative"):
        sample_character(-1)


def test_species_of_random_seeds_cover_all_evenly():
    drawn = [sample_character(seed).species for seed in range(29 * 20)]
    counts = np.array([drawn.count(name) for name in SPECIES])
    # Mean 20, standard deviation about 4.4.
    assert counts.min() >= 5 and counts.max() <= 38


def test_unknown_species_and_motions_name_the_known_ones():
    with pytest.raises(UserError, match=r"Unknown toybox species 'unicorn'.*panda"):
        sample_clip(0, species="unicorn")
    with pytest.raises(UserError, match=r"Unknown toybox fish motion 'walking'.*swimming"):
        sample_clip(0, species="fish", motion="walking")
    assert "driving" in motions_of("car") and "driving" not in motions_of("panda")


def test_named_colours_are_the_colours_of_the_paint():
    for seed in range(200):
        character = sample_character(seed)
        color = character.attributes.get("color")
        if color is not None:
            names = {name_of(part.paint.base) for part in character.rig.parts}
            assert color in names, f"seed {seed}: no part of the {character.species} is {color}"


def test_the_gallery_shows_every_motion_and_needs_a_folder(tmp_path):
    assert set(gallery._CAST) == set(MOTIONS)
    for motion, species in gallery._CAST.items():
        assert motion in motions_of(species)
    with pytest.raises(UserError, match="there is no folder"):
        gallery.main(str(tmp_path / "absent"))


def test_picked_colours_keep_their_names():
    rng = np.random.default_rng(0)
    for name in COLORS:
        for _ in range(50):
            assert name_of(pick(rng, (name,)).rgb) == name
    assert name_of((1.0, 0.0, 0.0)) is None  # purer than any paint in the box
    assert pick(rng, ("red", "blue"), avoid=("red",)).name == "blue"


def test_direction_rotation_turns_up_to_the_direction():
    for d in ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0), (0.36, -0.48, 0.80)):
        turned = euler_matrix(direction_rotation(d)) @ [0.0, 1.0, 0.0]
        assert turned == pytest.approx(d, abs=1e-12)


def test_points_on_an_ellipsoid_by_hand():
    point, normal = on_ellipsoid((1.0, 2.0, 3.0), (0.5, 1.0, 2.0), 90.0, 0.0)
    assert point == pytest.approx((1.5, 2.0, 3.0)) and normal == pytest.approx((1.0, 0.0, 0.0))
    point, normal = on_ellipsoid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0.0, 30.0)
    assert point == pytest.approx((0.0, 0.5, 3**0.5 / 2)) and normal == pytest.approx(point)


def test_enclosing_ball_of_an_octahedron():
    points = np.concatenate([np.eye(3), -np.eye(3)]) * 0.5 + [0.0, 2.0, -1.0]
    center, radius = enclosing_ball(points)
    assert center == pytest.approx((0.0, 2.0, -1.0), abs=0.02)
    assert radius == pytest.approx(0.5, abs=0.02)


def test_joint_matrices_equal_a_plain_chain():
    rig = Rig(
        (
            Joint("a", None, (0.0, 0.1, 0.0)),
            Joint("b", "a", (0.2, 0.3, 0.0)),
            Joint("c", "a", (-0.2, 0.0, 0.1)),
            Joint("d", "b", (0.4, 0.4, 0.2)),
        ),
        (),
    )
    changes = {
        "a": JointPose((10.0, 20.0, -30.0), (0.1, 0.0, 0.2), (1.1, 0.9, 1.0)),
        "b": JointPose((0.0, 90.0, 0.0)),
        "d": JointPose((-45.0, 0.0, 15.0), (0.0, 0.3, 0.0)),
    }

    def chained(joint: Joint, point: np.ndarray) -> np.ndarray:
        change = changes.get(joint.name, JointPose())
        x, y, z = np.radians(change.rotation)
        rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
        ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
        rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
        moved = rz @ ry @ rx @ ((point - joint.pivot) * change.scale)
        moved = moved + joint.pivot + change.translation
        parent = next((j for j in rig.joints if j.name == joint.parent), None)
        return moved if parent is None else chained(parent, moved)

    point = np.array([0.3, -0.2, 0.5])
    world = joint_matrices(rig, Pose(changes))
    for matrix, joint in zip(world, rig.joints, strict=True):
        assert matrix[:3, :3] @ point + matrix[:3, 3] == pytest.approx(chained(joint, point))
    with pytest.raises(KeyError, match="elbow"):
        joint_matrices(rig, Pose({"elbow": JointPose()}))

"""The stage `evaluate`: alignment, scores and verdicts worked out by hand, the files, bad input."""
# ruff: noqa: F811 (fixtures are imported, and so shadowed by the arguments that ask for them)

import json
import shutil

import numpy as np
import pytest
import torch
from bad_input import animate124, assert_one_sentence, cut  # noqa: F401
from tiny_scene import COLOUR, ball, leave, silhouette

from animate124.geometry.cameras import DEFAULT_RADIUS, Cameras, orbit, project
from animate124.media.images import write_png
from animate124.settings.base import parse
from animate124.settings.evaluate import EvaluateSettings, VerdictSettings
from animate124.stages import evaluate_costs, evaluate_views
from animate124.stages.evaluate import METRICS, OUTPUTS, SHEET, evaluate
from animate124.stages.evaluate_scores import coverage, score
from animate124.stages.evaluate_subject import FROM_PICTURE
from animate124.stages.evaluate_verdict import DRIFTED, EXPLODED, OK, STATIC, checks, judge
from animate124.stages.evaluate_views import Shown, align, copied, frozen, nothing
from animate124.stages.finished_field import open_field
from animate124.stages.models import Models
from animate124.toybox.bundle import write_bundle
from animate124.toybox.characters import sample_clip

TINY = ("size=16", "supersample=1", "frames=4")


def settings(*more):
    return parse(EvaluateSettings, [*TINY, *more])


def disc(size, x, y, radius):
    """Coverage of a disc; centre (x right, y up) and radius in half image edges."""
    row, column = np.mgrid[:size, :size]
    u, v = (column + 0.5) / size * 2 - 1, 1 - (row + 0.5) / size * 2
    return torch.from_numpy((np.hypot(u - x, v - y) < radius).astype(np.float32))


def test_a_truth_is_placed_where_the_picture_shows_it():
    truth, picture = disc(200, 0.1, -0.2, 0.4), disc(100, -0.05, 0.1, 0.6)
    alignment = align(truth, picture, 0.0)
    assert alignment.scale == pytest.approx(1.5, abs=0.02)
    # From 1.5 · (0.1, −0.2) to (−0.05, 0.1), half an edge being 2.2 · tan 20° at the subject.
    half = DEFAULT_RADIUS * np.tan(np.radians(20))
    expected = [-0.2 * half, 0.4 * half, 0.0]
    assert alignment.shift.tolist() == pytest.approx(expected, abs=0.01)


def test_cameras_move_with_the_truth():
    """What a camera sees of a point it sees of the moved point when it has moved along."""
    turn = orbit(30.0, 20.0)[:3, :3]  # some rotation
    alignment = evaluate_views.Alignment(1.3, torch.tensor([0.1, -0.2, 0.05]), turn)
    c2w = orbit(torch.tensor([0.0, 50.0, 200.0]), torch.tensor([0.0, 20.0, -10.0]))
    points = torch.tensor([[0.2, 0.3, -0.1], [0.0, -0.4, 0.2]])
    before, _ = project(points, Cameras(c2w, 40.0, 64, 64))
    after, _ = project(
        points @ turn.T * alignment.scale + alignment.shift,
        Cameras(alignment.poses(c2w), 40.0, 64, 64),
    )
    torch.testing.assert_close(after, before, atol=1e-3, rtol=0)


def shown(clip, alpha=None, size=4):
    """What one side shows: grey levels over time, coverage over time."""
    frames = len(clip)
    grey = torch.tensor(clip).view(1, frames, 1, 1, 1).expand(1, frames, size, size, 3)
    cover = torch.ones(1, frames, size, size)
    for k, share in enumerate(alpha or ()):
        cover[0, k].view(-1)[int(share * size * size) :] = 0
    return Shown(grey[0, 0], cover[0, 0], grey, cover, grey[:, 0], cover[:, 0])


def test_scores_of_a_blinking_side():
    picture = torch.full((4, 4, 3), 0.5)
    row = score(shown([0.0, 1.0, 0.0, 1.0]), picture, torch.ones(4, 4), True, None)
    assert row["reference_psnr"] == pytest.approx(6.0206, abs=1e-4)  # −10 log 0.25
    assert row["reference_iou"] == 1.0 and row["novel_psnr"] is None
    assert row["amplitude"] == row["amplitude_of_subject"] == 0.5
    assert row["flicker"] == 0.0 and row["seam"] == 1.0
    # Third difference 1 − 3 + 0 − 3·… = 4 of each of three channels: 4·√3.
    assert row["jitter"] == pytest.approx(4 * 3**0.5, abs=1e-4)
    assert row["amplitude_ratio"] is None


def test_scores_against_a_truth():
    """Half as lively, in step, and a step of 0.1 off around t = 0."""
    ours, truth = shown([0.4, 0.6, 0.4, 0.6]), shown([0.5, 0.9, 0.5, 0.9])
    row = score(ours, truth.reference, truth.reference_alpha, False, truth)
    assert row["novel_psnr"] == row["novel_psnr_union"] == pytest.approx(20.0)
    assert row["novel_iou"] == 1.0 and row["novel_ssim"] is None  # too small a picture
    assert row["amplitude_ratio"] == pytest.approx(0.5)
    assert row["motion_correlation"] == pytest.approx(1.0)
    assert row["seam"] is None  # what does not loop need not close


def test_trivial_results():
    moving = shown([0.2, 0.8, 0.4, 0.6], [1.0, 0.5, 0.5, 1.0])
    still = frozen(moving)
    assert torch.equal(still.sides, moving.sides[:, :1].expand_as(moving.sides))
    assert still.sides_alpha.mean() == 1.0
    row = score(still, still.reference, still.reference_alpha, True, None)
    assert (row["amplitude"], row["flicker"], row["jitter"], row["seam"]) == (0, 1, 0, None)
    card = copied(torch.full((4, 4, 3), 0.3), torch.ones(4, 4), moving)
    assert torch.all(card.sides == 0.3) and card.around.shape == moving.around.shape
    assert torch.all(nothing(moving).sides == 1) and not nothing(moving).sides_alpha.any()


def test_coverage_over_time():
    assert coverage(shown([0.0] * 4, [0.5, 0.25, 1.0, 0.5])) == (0.5, 0.5, 2.0)
    assert coverage(nothing(shown([0.0] * 4))) == (0.0, 0.0, 0.0)


GOOD = {
    "reference_psnr": 25.0,
    "reference_iou": 0.9,
    "amplitude_of_subject": 0.2,
    "image_cosine": 0.8,
    "species_top1": 0.75,
    "species_seen": {"panda": 3, "bear": 1},
}
WELL, CALM = (0.2, 0.9, 1.1), 0.0


@pytest.mark.parametrize(
    ("change", "covered", "touched", "verdict", "words"),
    [
        ({}, WELL, CALM, OK, ["0.20", "90% to 110%", "25.0 dB"]),
        ({"amplitude_of_subject": 0.034}, WELL, CALM, STATIC, ["0.034", "at least 0.035"]),
        ({}, (0.2, 0.9, 1.6), CALM, EXPLODED, ["1.60 times", "at most 1.5"]),
        ({}, (0.2, 0.4, 1.0), CALM, EXPLODED, ["shrinks to 0.40"]),
        ({}, (0.0, 0.0, 0.0), CALM, EXPLODED, ["0.000 of the picture", "shrinks to 0.00"]),
        ({}, WELL, 0.02, EXPLODED, ["0.02 of the cube's faces"]),
        ({"reference_psnr": 15.9}, WELL, CALM, DRIFTED, ["15.9 dB", "at least 16"]),
        ({"reference_iou": 0.6}, WELL, CALM, DRIFTED, ["0.60", "at least 0.7"]),
        ({"image_cosine": 0.4}, WELL, CALM, DRIFTED, ["0.40", "at least 0.5"]),
        (
            {"species_top1": 0.25, "species_seen": {"bear": 3, "panda": 1}},
            WELL,
            CALM,
            DRIFTED,
            ["0.25", "a bear"],
        ),
        # Without an embedder, and at once: what is worst is named first, all is told.
        ({"image_cosine": None, "species_top1": None}, WELL, CALM, OK, ["25.0 dB"]),
        (
            {"amplitude_of_subject": 0.0, "reference_psnr": 9.0},
            (0.2, 0.9, 3.0),
            CALM,
            EXPLODED,
            ["3.00 times", "9.0 dB", "hardly moves"],
        ),
        ({"amplitude_of_subject": 0.0, "reference_psnr": 9.0}, WELL, CALM, DRIFTED, ["hardly"]),
    ],
)
def test_verdicts(change, covered, touched, verdict, words):
    found = checks(GOOD | change, covered, touched, VerdictSettings())
    said, reason = judge(found)
    assert said == verdict
    assert reason[0].isupper() and reason.endswith(".") and "\n" not in reason
    for word in words:
        assert word in reason, reason


def test_matter_at_the_cube_is_noticed(tmp_path):
    inside = open_field(leave(tmp_path / "ball"))
    assert inside.touching(torch.tensor([0.0, 0.5])) == 0.0
    everywhere = ball()
    with torch.no_grad():
        everywhere.head.b2[0] = 5.0
    assert open_field(leave(tmp_path / "fog", everywhere)).touching(torch.zeros(1)) == 1.0


def test_licences_of_everything_that_took_part():
    free = {"role": "depth", "model": "a", "licence": "MIT", "commercial": True}
    unclear = {"role": "matting", "model": "b", "licence": "?", "commercial": None}
    bound = {"role": "novel-view", "model": "c", "licence": "NC", "commercial": False}
    found = {"static": {"priors": [free, unclear]}, "dynamic": {"priors": [free]}, "render": {}}
    assert evaluate_costs.licences(found, [])["weights"] == [free, unclear]
    assert evaluate_costs.licences(found, [])["commercial_use"] is None
    assert evaluate_costs.licences(found, [bound])["commercial_use"] is False
    assert evaluate_costs.licences({"static": {"priors": [free]}}, [])["commercial_use"] is True
    assert evaluate_costs.licences(found, [])["code"] == "Apache-2.0"


def picture(path, size=32):
    """The ball as it is seen at t = 0, cut out."""
    alpha = disc(size, 0.0, 0.0, silhouette() / (DEFAULT_RADIUS * np.tan(np.radians(20))))
    rgba = torch.cat([torch.tensor(COLOUR).expand(size, size, 3), alpha[..., None]], -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, rgba.numpy())


def make_scene(folder):
    picture(folder / "preprocess" / "rgba.png")
    prior = {"role": "novel-view", "model": "nano", "licence": "Apache-2.0", "commercial": True}
    costs = {"peak_memory_mib": 300.0, "device": "cpu", "priors": [prior]}
    leave(folder / "static", ball(), "static", **costs)
    for stage in ("dynamic", "refine"):
        leave(folder / stage, ball(4, True, moving=True), stage, **costs)
    return folder


@pytest.fixture(scope="module")
def nano():
    return Models("nano")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, nano):
    folder = make_scene(tmp_path_factory.mktemp("scenes") / "orange")
    write_bundle(sample_clip(18), folder / "truth", "dev", 3, 4, 16, 1, 8)
    metrics = evaluate(
        folder, folder / "evaluate", settings(), nano, "a panda is dancing", subject="a panda",
        truth=folder / "truth",
    )  # fmt: skip
    return folder, metrics


def test_everything_is_written_and_nothing_else(evaluated):
    folder, metrics = evaluated
    assert {p.name for p in (folder / "evaluate").iterdir()} == set(OUTPUTS)
    assert not (folder / ".evaluate.work").exists()
    assert json.loads((folder / "evaluate" / METRICS).read_text()) == metrics
    assert (metrics["scene"], metrics["field"]) == ("orange", "refine")
    assert list(metrics["ablation"]) == list(FROM_PICTURE)
    rows = metrics["scores"]
    assert list(rows) == ["result", "frozen", "copy_picture", "white", "truth"]
    assert len({tuple(row) for row in rows.values()}) == 1  # the same numbers of each
    assert rows["result"] == metrics["ablation"]["refine"]["scores"]


def test_scores_of_the_ball(evaluated):
    """The field is the picture; a truth that is a car is not."""
    _, metrics = evaluated
    rows = metrics["scores"]
    assert rows["result"]["reference_psnr"] > 18 and rows["result"]["reference_iou"] > 0.9
    assert rows["copy_picture"]["reference_psnr"] == 100.0
    assert rows["truth"]["novel_psnr"] == 100.0 and rows["truth"]["amplitude_ratio"] == 1.0
    assert rows["white"]["novel_iou"] == 0.0
    assert rows["result"]["amplitude_of_subject"] > 0.05  # it changes colour
    for name in ("frozen", "copy_picture", "white"):
        assert (rows[name]["amplitude"], rows[name]["amplitude_ratio"]) == (0.0, 0.0)
        assert rows[name]["flicker"] == 1.0
    assert metrics["ablation"]["static"]["scores"]["amplitude"] == 0.0
    assert not metrics["ablation"]["static"]["checks"]["amplitude"]["good"]


def test_the_embedder_is_named_and_not_called_clip(evaluated):
    _, metrics = evaluated
    assert metrics["embedding"]["model"] == "animate124-nano-embedding"
    assert (
        metrics["embedding"]["species"] == "panda" and metrics["embedding"]["motion"] == "dancing"
    )
    assert metrics["embedding"]["motion_model"] == "animate124-nano-action-recognition"
    assert metrics["embedding"]["species_top1_chance"] == pytest.approx(1 / 29, abs=1e-4)
    assert "clip" not in json.dumps(metrics).lower()
    # A ball of no kind in particular is recognised by nobody as a panda.
    assert metrics["verdict"] == "drifted" and "of its unseen sides" in metrics["reason"]


def test_costs_and_licences(evaluated):
    _, metrics = evaluated
    assert list(metrics["stages"]) == ["static", "dynamic", "refine"]
    assert metrics["stages"]["static"]["seconds"] == 1.5
    assert metrics["stages"]["static"]["peak_memory_mib"] == 300.0
    roles = [prior["role"] for prior in metrics["licences"]["weights"]]
    assert roles == ["action-recognition", "embedding", "novel-view"]
    assert metrics["licences"]["commercial_use"] is True


def test_the_same_scene_gives_the_same_bytes(evaluated, tmp_path):
    folder, _ = evaluated
    evaluate(
        folder, tmp_path / "again", settings(), Models("nano"), "a panda is dancing",
        subject="a panda", truth=folder / "truth",
    )  # fmt: skip
    for name in (METRICS, SHEET):
        assert (tmp_path / "again" / name).read_bytes() == (folder / "evaluate" / name).read_bytes()


def test_without_truth_embedder_and_earlier_fields(tmp_path):
    """What cannot be scored is null; the field that is asked for is scored, and it alone."""
    folder = make_scene(tmp_path / "orange")
    shutil.rmtree(folder / "refine")
    profile = tmp_path / "bare.yaml"
    profile.write_text("about: nothing\nlanguage: photo\nroles: {}\n")
    metrics = evaluate(
        folder, tmp_path / "out", settings("ablation=false"), Models(profile), "it moves"
    )
    assert metrics["field"] == "dynamic" and metrics["ablation"] is None
    assert metrics["truth"] is None and metrics["embedding"] is None
    assert metrics["scores"]["result"]["novel_psnr"] is None
    assert "species_top1" not in metrics["scores"]["result"]
    assert metrics["verdict"] == "ok"
    chosen = evaluate(
        folder, tmp_path / "out", settings("ablation=false"), Models(profile), "it moves",
        field="static",
    )  # fmt: skip
    assert (chosen["field"], chosen["verdict"]) == ("static", "static")


def opaque_picture(scene):
    write_png(scene / "preprocess" / "rgba.png", np.ones((8, 8, 3), np.float32))


def without_fields(scene):
    for stage in FROM_PICTURE:
        shutil.rmtree(scene / stage)


BAD = {
    "no folder": (shutil.rmtree, (), ("no field", "static, dynamic and refine")),
    "no picture": (lambda s: shutil.rmtree(s / "preprocess"), (), ("rgba.png", "preprocess")),
    "a picture without transparency": (opaque_picture, (), ("rgba.png", "transparency")),
    "a picture cut short": (
        lambda s: cut(s / "preprocess" / "rgba.png"),
        (),
        ("rgba.png", "damaged or cut short"),
    ),
    "no field": (without_fields, (), ("no field", "static, dynamic and refine")),
    "a field without record": (
        lambda s: (s / "refine" / "stage.json").unlink(),
        (),
        ("stage.json is missing",),
    ),
    "a damaged field": (
        lambda s: cut(s / "dynamic" / "field.safetensors"),
        (),
        ("dynamic", "damaged or cut short"),
    ),
    "an unknown field": (None, ("--field", "coarse"), ("'coarse'", "static, dynamic, refine")),
    "a field that is not there": (
        lambda s: shutil.rmtree(s / "refine"),
        ("--field", "refine"),
        ("refine", "run `animate124 refine`"),
    ),
    "no truth there": (None, ("--truth", "nowhere"), ("no truth bundle at nowhere",)),
    "a truth that is none": (None, ("--truth", "orange"), ("no truth bundle at orange",)),
    "an unknown profile": (None, ("--profile", "nanno"), ("nanno",)),
    "an empty sentence": (None, ("--prompt", " "), ("sentence is empty",)),
    "an unknown setting": (None, ("--set", "verdict.still=1"), ("'verdict.still'",)),
    "a limit that is none": (None, ("--set", "verdict.growth=0.5"), ("verdict.growth", "≥ 1")),
    "a file for the results": (None, ("--out", "file"), ("is a file",)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case, tmp_path, monkeypatch, animate124):
    change, more, words = BAD[case]
    make_scene(tmp_path / "orange")
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(tmp_path)
    if change:
        change(tmp_path / "orange")
    chosen = [part for text in TINY for part in ("--set", text)]
    out = [] if "--out" in more else ["--out", "out"]
    prompt = [] if "--prompt" in more else ["--prompt", "a panda is dancing"]
    status, errors = animate124("evaluate", "orange", *prompt, *chosen, *out, *more)
    assert status == 2
    assert_one_sentence(errors, words)
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.work").exists()

"""The nano depth network: the loss by hand and its invariance, training, resume, export, scores."""

import json

import numpy as np
import pytest
import torch
from transformers import UperNetForSemanticSegmentation, VisionTextDualEncoderModel

from animate124 import training
from animate124.zoo import data, depth
from animate124.zoo.roles import NANO
from animate124.zoo.scores import depth as scores


def settings(steps, batch=4, **values):
    train = depth.DEFAULTS.train.model_copy(
        update={"steps": steps, "checkpoint_seconds": 1e9, "preview_every": 0, "log_every": 1}
    )
    return depth.DEFAULTS.model_copy(update={"batch": batch, "train": train, **values})


def test_standardise_by_hand():
    values = torch.tensor([[[1.0, 2.0, 4.0], [9.0, 4.0, 100.0]]])
    mask = torch.tensor([[[True, True, True], [True, True, False]]])
    own = depth.standardise(values, mask)
    deviation = ((9 + 4 + 0 + 25 + 0) / 5) ** 0.5
    expected = [-3 / deviation, -2 / deviation, 0.0, 5 / deviation, 0.0]
    assert own[mask].tolist() == pytest.approx(expected)


def test_squared_error_by_hand():
    residual = torch.tensor([[[1.0, -3.0], [50.0, 0.0]], [[2.0, 2.0], [2.0, -2.0]]])
    mask = torch.tensor([[[True, True], [False, False]], [[True, True], [True, True]]])
    assert depth.squared_error(residual, mask).item() == pytest.approx((5.0 + 4.0) / 2)


def test_squared_error_of_standardised_is_two_minus_two_correlations():
    generator = torch.Generator().manual_seed(2)
    ours, true = torch.rand(2, 1, 8, 8, generator=generator)
    mask = torch.rand(1, 8, 8, generator=generator) < 0.6
    residual = depth.standardise(ours, mask) - depth.standardise(true, mask)
    pearson = np.corrcoef(ours[mask].numpy(), true[mask].numpy())[0, 1]
    assert depth.squared_error(residual, mask).item() == pytest.approx(2 - 2 * pearson, rel=1e-5)


def test_gradient_error_by_hand():
    # A ramp of slope 1 along x on 8 × 8 pixels: at scale k the steps are 2^k, 8 / 2^k rows of
    # 8 / 2^k − 1 steps. The fourth scale has a single pixel and no step.
    residual = torch.arange(8.0).expand(1, 8, 8)
    mask = torch.ones(1, 8, 8, dtype=torch.bool)
    expected = (8 * 7 * 1 + 4 * 3 * 2 + 2 * 1 * 4) / 64
    assert depth.gradient_error(residual, mask).item() == pytest.approx(expected)
    # A step to a pixel outside the mask counts nothing: without column 3 the first scale loses two
    # steps in each of 8 rows; the coarser scales never see that column.
    mask[:, :, 3] = False
    expected = (8 * 5 * 1 + 4 * 3 * 2 + 2 * 1 * 4) / 56
    assert depth.gradient_error(residual, mask).item() == pytest.approx(expected)


def test_loss_ignores_scale_and_shift():
    generator = torch.Generator().manual_seed(1)
    predicted = torch.rand(3, 16, 16, generator=generator)
    true = torch.rand(3, 16, 16, generator=generator)
    mask = torch.rand(3, 16, 16, generator=generator) < 0.5

    def loss(prediction):
        residual = depth.standardise(prediction, mask) - depth.standardise(true, mask)
        return depth.squared_error(residual, mask) + depth.gradient_error(residual, mask)

    assert loss(7.0 * predicted - 3.0).item() == pytest.approx(loss(predicted).item(), rel=1e-5)
    assert loss(predicted).item() > 0.5
    assert loss(0.2 * true + 5.0).item() < 1e-4
    assert loss(-true).item() > 1.0


def test_loss_of_a_flat_output_has_a_finite_gradient():
    flat = torch.ones(1, 8, 8, requires_grad=True)
    own = depth.standardise(flat, torch.ones(1, 8, 8, dtype=torch.bool))
    (own - torch.rand(1, 8, 8)).abs().sum().backward()
    assert flat.grad.isfinite().all()


def test_samples_depend_on_seed_and_step_and_are_true():
    first, again, other = (
        depth.make_task(settings(1, batch=8), "cpu", NANO).samples(step) for step in (3, 3, 4)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    images, disparity, mask, empty = first
    assert images.shape == (8, 3, 64, 64) and images.min() >= 0 and images.max() <= 1
    assert not (mask & empty).any() and (mask.flatten(1).sum(1) >= 16).all()
    # The camera stands 2.2 from the middle and characters fit into a unit sphere.
    assert (disparity[mask] > 1 / 3.3).all() and (disparity[mask] < 1 / 1.1).all()
    assert (disparity[~mask] == 0).all()


def test_what_was_rendered_once_is_used_in_several_steps_seldom_alike():
    task = depth.make_task(settings(1, batch=8), "cpu", NANO)
    rendered = []
    original = task._rendered
    task._rendered = lambda key: rendered.append(key) or original(key)
    batches = [task.samples(step) for step in (4, 5)]
    assert rendered == [4, 3, 2, 1, 5, 4, 3, 2]
    fresh = depth.make_task(settings(1, batch=8), "cpu", NANO).samples(5)
    assert all(torch.equal(a, b) for a, b in zip(fresh, batches[1], strict=True))
    # Six of eight were in the batch before; half are not moved, two in five of these over white.
    alike = sum(torch.equal(a, b) for a in batches[0][0] for b in batches[1][0])
    assert alike < 4


def test_a_fresh_network_begins_with_the_embedders_features():
    task = depth.make_task(settings(1), "cpu", NANO)
    eyes = VisionTextDualEncoderModel.from_pretrained(NANO / "embedding", dtype=torch.float32)
    images = torch.rand(2, 3, 64, 64)
    ours = task.model.eval().backbone(images).feature_maps[-1]
    assert torch.equal(ours, eyes.vision_model(images).last_hidden_state)


def test_look_gives_depth_only_if_asked_and_the_same_colours():
    rng = data.stream(0, "test")
    clip = data.draw_clips(rng, 1)[0]
    angles = rng.uniform(-180, 180, 2), rng.uniform(0, 20, 2), rng.random(1)
    plain, deep = data.look(clip, *angles), data.look(clip, *angles, depth=True)
    assert plain.depth is None and torch.equal(plain.rgba, deep.rgba)
    assert torch.equal(deep.depth > 0, deep.rgba[:, :, 3:] > 0)


def test_a_few_steps_on_one_batch_reduce_the_loss():
    task = depth.make_task(settings(25, warmup=1, decay=0.0), "cpu", NANO)
    batch = task.samples(0)
    task.samples = lambda step: batch
    optimizer = task.optimizer()
    losses = []
    for step in range(25):
        optimizer.zero_grad()
        loss = sum(task.loss(step).values())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_resume_is_exact(tmp_path):
    whole, first, second = (depth.make_task(settings(3, batch=2), "cpu", NANO) for _ in range(3))
    training.run(whole, whole.settings.train, tmp_path / "whole", "x")

    def stop(step):
        if step == 2:
            raise KeyboardInterrupt

    run = whole.settings.train.model_copy(update={"checkpoint_seconds": 0.0})
    first.before_step = stop
    with pytest.raises(KeyboardInterrupt):
        training.run(first, run, tmp_path / "cut", "x")
    report = training.run(second, run, tmp_path / "cut", "x")
    assert report.resumed_from == 2
    for name, value in whole.trained.items():
        assert torch.equal(value, second.trained[name]), name
        assert torch.equal(whole.average[name], second.average[name]), name


def test_export_loads_as_upernet_says_the_same_and_can_be_trained_further(tmp_path):
    folder = tmp_path / "depth"
    task = depth.make_task(settings(1), "cpu", NANO)
    depth.export(task, folder)
    assert {p.name for p in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    assert (folder / "model.safetensors").stat().st_size < 3.5e6
    facts = json.loads((folder / "preprocessor_config.json").read_text())
    assert facts["size"] == {"height": 64, "width": 64} and facts["image_mean"] == [0.5] * 3
    model = UperNetForSemanticSegmentation.from_pretrained(folder, dtype=torch.float32).eval()
    ours = task.averaged()["depth"]
    depth.recalibrate(ours, task)
    images = task.samples(0)[0]
    with torch.no_grad():
        expected = depth.estimate(ours, images)
        assert expected.shape == (4, 64, 64)
        assert (depth.estimate(model, images) - expected).abs().max() < 1e-2
        # What was measured on many batches fits another batch about as well as its own statistics.
        assert (depth.estimate(ours.train(), images) - expected).abs().mean() < 0.3
    further = depth.make_task(settings(1, start="shipped"), "cpu", tmp_path)
    assert further.average.keys() == task.average.keys()
    for name, value in task.average.items():
        assert torch.equal(further.average[name], value.half().float()), name


def test_relative_error_by_hand():
    # Disparities 1, 2, 3 for depths 1/1.2, 1/1.4, 1/2.2: the line through 1.2, 1.4, 2.2 has slope
    # 0.5 and middle 1.6, so 1.1, 1.6, 2.1.
    true = torch.tensor([[1.2, 1.4, 2.2, 9.0]])
    mask = torch.tensor([[True, True, True, False]])
    found = scores.relative_error(torch.tensor([[1.0, 2.0, 3.0, 0.0]]), 1 / true, mask)
    expected = (abs(1.2 / 1.1 - 1) + abs(1.4 / 1.6 - 1) + abs(2.2 / 2.1 - 1)) / 3
    assert found == pytest.approx(expected, rel=1e-6)
    assert scores.relative_error(10 * true + 3, 1 / true, mask) == pytest.approx(0, abs=1e-6)


def test_inflated_is_highest_in_the_middle():
    mask = torch.zeros(9, 9, dtype=torch.bool)
    mask[2:7, 2:7] = True
    cushion = scores.inflated(mask)
    assert cushion[4, 4].item() == pytest.approx(3**0.5) and cushion[2, 2].item() == 1.0
    assert (cushion[~mask] == 0).all()


def test_shown_spans_the_subject():
    values = torch.tensor([[[2.0, 4.0], [3.0, 99.0]]])
    picture = scores.shown(values, torch.tensor([[[True, True], [True, False]]]))
    assert picture.shape == (1, 3, 2, 2)
    assert picture[0, 1].flatten().tolist() == pytest.approx([0.1, 1.0, 0.55, 0.0])


def test_evaluate_scores_a_model_that_knows_the_truth(monkeypatch):
    class Knows:
        def estimate(self, images):
            return (3 / looks[-1].depth[:, 0, 0].clamp(min=0.1) - 1) * (
                looks[-1].depth[:, 0, 0] > 0
            )

    def look(*args, **options):
        looks.append(original(*args, **options))
        return looks[-1]

    looks, original = [], data.look
    monkeypatch.setattr(data, "look", look)
    monkeypatch.setattr(scores.Depth, "load", lambda folder: Knows())
    made = scores.evaluate(NANO, "dev", 2)
    figures = made.figures
    for kind in ("", "white_"):
        assert figures[f"{kind}pearson"] == figures[f"{kind}pearson_median"] == 1.0
        assert figures[f"{kind}abs_rel"] == 0.0
    assert figures["baseline_constant_pearson"] == 0.0 < figures["baseline_constant_abs_rel"]
    assert -1 < figures["baseline_inflated_pearson"] < 0.95
    assert figures["background"] == 0.0
    assert made.sheet.ndim == 3

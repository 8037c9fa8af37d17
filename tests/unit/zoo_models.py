"""Untrained nano models in a folder, written by the zoo's own exports, and cheap renderings."""

import contextlib
from functools import partial
from unittest import mock

import numpy as np
import pytest
import torch

from animate124.zoo import action, autoencoder, data, embedder, roles, sentences

BUILT_ON_OTHERS = (
    "text-to-image", "novel-view", "tile-control", "multi-view-video",
)  # fmt: skip
ROLES = ("autoencoder", "embedding", "action-recognition", *BUILT_ON_OTHERS)


def settings(role, steps=1, batch=2, **values):
    defaults = roles.module_of(role).DEFAULTS
    train = defaults.train.model_copy(
        update={"steps": steps, "checkpoint_seconds": 1e9, "preview_every": 0, "log_every": 1}
    )
    return defaults.model_copy(update={"batch": batch, "train": train, **values})


def painted(clip, azimuth, elevation, times, size=data.SIZE, samples=2, depth=False):
    """In the place of `data.look`: a disc whose colours depend on what is looked at."""
    x = torch.linspace(-1.0, 1.0, size)
    alpha = (x[:, None] ** 2 + x[None, :] ** 2 < 0.5).float()
    rgba = torch.empty(len(azimuth), len(times), 4, size, size)
    for v, (turn, lift) in enumerate(zip(azimuth, elevation, strict=True)):
        for f, time in enumerate(times):
            wave = np.array([turn / 57.0, lift / 57.0 + 1.0, 6.28 * time + clip.seed % 7])
            color = torch.tensor(0.5 + 0.5 * np.sin(wave)).float()[:, None, None]
            rgba[v, f, :3] = color * alpha * (0.75 + 0.25 * x)
            rgba[v, f, 3] = alpha
    angles = (torch.from_numpy(np.asarray(a)).float() for a in (azimuth, elevation))
    return data.Sight(rgba, *angles, torch.from_numpy(np.asarray(times)).float())


def shuffled(task, seed=0, size=0.02):
    """Give a task an average that differs from its weights and that half precision can hold."""
    generator = torch.Generator().manual_seed(seed)
    for value in task.average.values():
        value.add_(size * torch.randn(value.shape, generator=generator))
        value.copy_(value.half().float())
    return task


def write(folder):
    """All models but depth and matting below `folder`, from random weights."""
    for role in ROLES:
        module = roles.module_of(role)
        task = module.make_task(settings(role), "cpu", folder)
        with contextlib.ExitStack() as stack:
            # As the real ones, of fewer pictures.
            for owner, name, cheap in (
                (autoencoder, "statistics", partial(autoencoder.statistics, clips=2)),
                (embedder, "recalibrate", partial(embedder.recalibrate, batches=1)),
                (action, "recalibrate", partial(action.recalibrate, batches=1)),
                (data, "look", painted),
                (sentences, "trained", partial(sentences.trained, steps=1)),
            ):
                stack.enter_context(mock.patch.object(owner, name, cheap))
            (folder / role).mkdir()
            module.export(task, folder / role)
    return folder


_written = []


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """The folder, written once for all test files; nobody may change it."""
    if not _written:
        _written.append(write(tmp_path_factory.mktemp("zoo")))
    return _written[0]

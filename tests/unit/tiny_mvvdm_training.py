"""What the training of a tiny MV-VDM needs; run as a script it is one process of a training."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import tiny_mvvdm
import yaml

import animate124  # noqa: F401  before torch
from animate124.media.tensors import save_tensors
from animate124.settings.mvvideo import MvVideoSettings, MvVideoTrainSettings
from animate124.settings.training import TrainSettings
from animate124.stages import mvvideo_train
from animate124.stages.models import Models
from animate124.zoo import mvvideo
from animate124.zoo.mvvdm_training import MvVdmTask

N, F, SIZE = 2, 4, 16
STEPS = 3


class Drawn:
    """A source whose pictures are noise; no two alike."""

    def __init__(self, name):
        self.name = name

    def key(self):
        return self.name

    def render(self, cameras, settings):
        rng = np.random.default_rng(len(self.name))
        frames = rng.random((settings.views, settings.frames, SIZE, SIZE, 4), np.float32)
        return mvvideo.Rendered(frames, f"a {self.name} nods", loop=False)


def settings(**values):
    train = {"steps": STEPS, "checkpoint_seconds": 0.0, "log_every": 1}
    train |= values.pop("train", {})
    none = dict.fromkeys(("drop_text", "drop_image", "drop_both", "drop_first"), 0.0)
    given = {"views": N, "frames": F, "size": SIZE, "lr": 1e-2, **none, **values}
    return MvVideoTrainSettings(**given, train=TrainSettings(**train))


def build(folder):
    """A profile of a tiny published model and a dataset, in `folder`, which is returned."""
    tiny_mvvdm.published(folder)
    entry = {"source": "folder", "licence": "none", "allow_patterns": ["*"]}
    parts = {name: entry | {"model": str(folder / name)} for name in ("mvdream", "ip-adapter")}
    own = entry | {"model": str(folder / "animate3d")}
    own["components"] = {"base": "mvdream", "image_prompt": "ip-adapter"}
    profile = {"about": "tiny", "roles": {"multi-view-video": own}, "parts": parts}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(profile))
    sources = [Drawn("panda"), Drawn("ant")]
    dict(mvvideo.build_all(sources, folder / "data", MvVideoSettings(views=4, frames=6, size=SIZE)))
    return folder


def run(place, out, wanted=None):
    """The training on them; its record."""
    models = Models(place / "tiny.yaml")
    return mvvideo_train.train(place / "data", out, wanted or settings(), models, cpu=True)


class Disturbed(MvVdmTask):
    """Killed in its last step, or asked to stop after the one before, in the second process."""

    disturbance = None

    def error(self, step, index):
        if self.disturbance == "kill" and self.processes.index == 1 and step == STEPS - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().error(step, index)

    def after_step(self, step):
        if self.disturbance == "stop" and self.processes.index == 1 and step == STEPS - 2:
            signal.raise_signal(signal.SIGTERM)


def watched(kept):
    """In the place of the task's class: makes it, and keeps it in the list `kept`."""

    def make(*arguments):
        kept.append(Disturbed(*arguments))
        return kept[-1]

    return make


if __name__ == "__main__":
    place, out = (Path(text) for text in sys.argv[1:3])
    Disturbed.disturbance = sys.argv[3] if sys.argv[3:] else None
    mvvideo_train.MvVdmTask = watched(tasks := [])
    run(place, out)
    path = out.parent / f"{out.name}-{tasks[0].processes.index}.safetensors"
    save_tensors(path, tasks[0].learnt, kind="test", version=1)

"""A small but real optimisation for the tests of the loop; run as a script it is one session.

It has what makes resuming hard: parameters that never get a gradient and some that get one late,
state of its own, explicit and hidden randomness, and a learning rate that changes.
"""

import math
import sys
from pathlib import Path

import torch

import animate124  # noqa: F401  before torch
from animate124 import runtime
from animate124.settings.training import TrainSettings
from animate124.training import Task, run

SLICES, USED = 6, 4


class Tiny(Task):
    """Fit slices of a table and a small network to sines; slices 4 and 5 are never looked up."""

    name = "tiny"

    def __init__(self, seed=0, total=60):
        g = runtime.generator(seed, "init")
        self.seed, self.total = seed, total
        self.slices = [torch.nn.Parameter(torch.randn(32, 3, generator=g)) for _ in range(SLICES)]
        self.net = torch.nn.Sequential(
            torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
        )
        with torch.no_grad():
            for p in self.net.parameters():
                p.copy_(torch.randn(p.shape, generator=g) * 0.5)
        self.average = torch.zeros(())

    def parameters(self):
        return [
            {"params": [(f"slice.{i}", p) for i, p in enumerate(self.slices)], "lr": 1e-2},
            {"params": list(self.net.named_parameters()), "lr": 3e-3},
        ]

    def loss(self, step):
        g = runtime.generator(self.seed, self.name, "batch", step)
        index = torch.randint(0, 32, (16,), generator=g)
        # Later slices come into use one by one, so some have optimiser state and some not yet.
        used = min(USED, 1 + 2 * USED * step // self.total)
        x = self.slices[int(torch.randint(0, used, (), generator=g))][index]
        noise = 0.1 * torch.rand(16)  # the global generator, as a library's dropout would use it
        fit = (self.net(x)[:, 0] - torch.sin(index * 0.3) - noise).square().mean()
        return {"fit": fit, "pull": 0.01 * (x.mean() - self.average).square()}

    def lr_scale(self, step):
        return math.cos(0.4 * math.pi * step / self.total)

    def after_step(self, step):
        mean = torch.stack([s.detach().mean() for s in self.slices]).mean()
        self.average = 0.9 * self.average + 0.1 * mean

    def state(self):
        return {"average": self.average}

    def load_state(self, state):
        self.average = state["average"]

    def preview(self, step):
        return self.slices[0].detach().sigmoid().reshape(4, 8, 3)

    def named(self):
        return {name: p for group in self.parameters() for name, p in group["params"]}


if __name__ == "__main__":
    steps = int(sys.argv[2])
    settings = TrainSettings(steps=steps, checkpoint_seconds=0.0, log_every=1)
    run(Tiny(total=60), settings, Path(sys.argv[1]), "inputs")
    print("done")

"""What every training of the zoo shares: AdamW, warm-up and decay, clipping, weight averaging."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from animate124 import runtime
from animate124.settings.zoo import ZooSettings
from animate124.training import Task


class ZooTask(Task):
    """Trains the parameters of `modules` that want a gradient and keeps their moving average.

    What ships is the average (`averaged`), which is worth several times as many steps at a small
    batch. On CUDA the forward pass runs in bfloat16, on a CPU in float32, where bfloat16 is ten
    times slower.

    `fresh`: parts of the names of parameters that start at nothing, in a network that knows
    something already, and learn so many times faster.
    """

    fresh: tuple[str, ...] = ()
    fresh_rate = 5.0

    def __init__(
        self, role: str, settings: ZooSettings, modules: Mapping[str, nn.Module], device: str
    ) -> None:
        self.name = f"zoo-{role}"
        self.settings, self.seed, self.device = settings, settings.train.seed, device
        self.modules = {name: module.to(device) for name, module in modules.items()}
        self.trained = {
            f"{name}.{key}": parameter
            for name, module in self.modules.items()
            for key, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        self.average = {name: p.detach().clone() for name, p in self.trained.items()}
        # Running statistics, which move in the forward pass and not by the optimiser.
        self.buffers = {
            f"{name}.{key}": buffer
            for name, module in self.modules.items()
            for key, buffer in module.named_buffers()
            if "running" in key or "num_batches" in key
        }

    def parameters(self) -> list[dict[str, Any]]:
        groups: dict[tuple[bool, bool], list[tuple[str, nn.Parameter]]] = {}
        for name, parameter in self.trained.items():
            new = any(part in name for part in self.fresh)
            groups.setdefault((parameter.dim() > 1, new), []).append((name, parameter))
        return [
            {
                "params": some,
                "lr": self.settings.lr * (self.fresh_rate if new else 1.0),
                "weight_decay": self.settings.weight_decay * decayed,
            }
            for (decayed, new), some in sorted(groups.items(), reverse=True)
        ]

    def optimizer(self) -> torch.optim.Optimizer:
        optimizer = torch.optim.AdamW(self.parameters(), betas=(0.9, 0.99), fused=True)
        clip_before_step(optimizer, self.trained.values(), self.settings.clip_norm)
        return optimizer

    def lr_scale(self, step: int) -> float:
        """Linear warm-up, a plateau, and a cosine fall to nothing over the last share of steps."""
        settings = self.settings
        scale = min(1.0, (step + 1) / max(settings.warmup, 1))
        steps = settings.train.steps
        start = steps * (1.0 - settings.decay)
        if step > start:
            share = (step - start) / max(steps - start, 1)
            scale *= 0.5 * (1.0 + math.cos(math.pi * share))
        return scale

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        # Early weights would weigh on the average for long: it follows closely at first.
        keep = min(self.settings.ema, (1 + step) / (10 + step))
        averages, parameters = list(self.average.values()), list(self.trained.values())
        torch._foreach_lerp_(averages, parameters, 1.0 - keep)

    def state(self) -> dict[str, Tensor]:
        averages = {f"average/{name}": value for name, value in self.average.items()}
        return averages | {f"buffer/{name}": value for name, value in self.buffers.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        for name, value in self.average.items():
            value.copy_(state[f"average/{name}"])
        for name, value in self.buffers.items():
            value.copy_(state[f"buffer/{name}"])

    def averaged(self) -> dict[str, nn.Module]:
        """Copies of the modules with the averaged weights, in evaluation mode, on the CPU."""
        copies = {}
        for name, module in self.modules.items():
            fresh = copy.deepcopy(module).cpu().eval()
            own = dict(fresh.named_parameters())
            for key, value in self.average.items():
                owner, _, rest = key.partition(".")
                if owner == name:
                    own[rest].data.copy_(value)
            copies[name] = fresh
        return copies

    def autocast(self) -> AbstractContextManager:
        if torch.device(self.device).type != "cuda":
            return nullcontext()
        return torch.autocast("cuda", torch.bfloat16)

    def generator(self, concern: str, step: int) -> torch.Generator:
        return runtime.generator(self.seed, self.name, concern, step)


def clip_before_step(
    optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor], limit: float
) -> None:
    """Have the norm of the gradient cut to `limit` (0: no limit) before every step."""
    parameters = list(parameters)

    def clip(*_: Any) -> None:
        nn.utils.clip_grad_norm_(parameters, limit)

    if limit:
        optimizer.register_step_pre_hook(clip)

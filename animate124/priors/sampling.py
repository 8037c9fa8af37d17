"""Sampling from any prior: timesteps, classifier-free guidance and DDIM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from animate124.priors.schedule import Schedule


def timesteps(schedule: Schedule, steps: int) -> list[int]:
    """`steps` timesteps, falling from the last one: "trailing" spacing (arXiv 2305.08891, table 2).

    It starts at the noisiest timestep, which a schedule with zero terminal signal needs.
    """
    if not 1 <= steps <= schedule.steps:
        raise ValueError(f"{steps} sampling steps of a schedule of {schedule.steps}")
    return [round(schedule.steps * (1.0 - k / steps)) - 1 for k in range(steps)]


def guide(positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance, negative + scale·(positive − negative): 1 is no guidance.

    This is the convention of diffusers (Imagen's w, arXiv 2205.11487, eq. 2); the convention of
    arXiv 2207.12598 has scale − 1.
    """
    return negative + scale * (positive - negative)


def noise(
    shape: Sequence[int], generator: torch.Generator | None, device: str | torch.device
) -> Tensor:
    """Standard normal float32 noise, drawn on the generator's device and moved to `device`."""
    source = generator.device if generator is not None else torch.device("cpu")
    return torch.randn(tuple(shape), generator=generator, device=source).to(device)


@torch.no_grad()
def ddim(
    schedule: Schedule,
    model: Callable[[Tensor, Tensor], Tensor],
    noisy: Tensor,
    at: Sequence[int],
) -> Tensor:
    """x_0 [B, …] of `noisy`: the end of `ddim_steps`."""
    for clean, _ in ddim_steps(schedule, model, noisy, at):
        found = clean
    return found


@torch.no_grad()
def ddim_steps(
    schedule: Schedule,
    model: Callable[[Tensor, Tensor], Tensor],
    noisy: Tensor,
    at: Sequence[int],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Deterministic DDIM (η = 0; arXiv 2010.02502, eq. 12), step by step.

    `model(x [B, …], t [B])` returns what the schedule's `prediction` says; `noisy` [B, …] is x at
    the first of the falling timesteps `at`. The model is converted to both x_0 and ε from one
    output, so a first timestep without any signal is no special case. Yields after every step the
    estimate of x_0 and x at the next timestep, after the last one x_0 twice.
    """
    for now, then in zip(at, [*at[1:], None], strict=True):
        t = torch.full((len(noisy),), now, device=noisy.device)
        output = model(noisy, t)
        clean = schedule.sample_of(output, noisy, t)
        if then is None:
            yield clean, clean
            return
        noisy = schedule.add_noise(
            clean, schedule.noise_of(output, noisy, t), torch.full_like(t, then)
        )
        yield clean, noisy

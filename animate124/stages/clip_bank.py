"""Clips that a video prior made of the scene's own renders, for the scene to follow.

Iterative dataset update (Instruct-NeRF2NeRF, arXiv 2303.12789, section 4) for clips: the scene is
rendered from some camera, the frames are noised to a timestep and denoised by the prior in a few
steps (SDEdit, arXiv 2108.01073), and for a while the scene is drawn to what came out. Where score
distillation asks the prior once per step and averages over its noise, here one answer, which is a
whole clip that moves, serves for many steps: the same prior gives motion where distillation gives
next to none, at half the cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from animate124.priors import sampling
from animate124.priors.guidance import Guidance
from animate124.priors.latent import resize
from animate124.priors.text_to_video import TextToVideo


@dataclass(frozen=True, eq=False)
class Aim:
    """A clip to follow: frame times [F], poses c2w [F, 4, 4], frames [F, 3, S, S] over white."""

    times: Tensor
    poses: Tensor
    frames: Tensor


class ClipBank:
    """The latest clips, up to `size` of them; a new one takes the place of the oldest.

    Room for all is there from the start, so that a checkpoint always holds the same tensors.
    """

    def __init__(self, size: int, frames: int, edge: int, device: str) -> None:
        self._count = torch.zeros(1, dtype=torch.int64)  # of all clips that ever came
        self._times = torch.zeros(size, frames)
        self._poses = torch.zeros(size, frames, 4, 4, device=device)
        self._frames = torch.zeros(size, frames, 3, edge, edge, device=device)

    def __len__(self) -> int:
        return min(int(self._count), len(self._times))

    def __getitem__(self, index: int) -> Aim:
        return Aim(self._times[index], self._poses[index], self._frames[index])

    def add(self, aim: Aim) -> None:
        """Take a clip in."""
        slot = int(self._count) % len(self._times)
        self._times[slot], self._poses[slot] = aim.times, aim.poses
        self._frames[slot] = aim.frames
        self._count += 1

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint."""
        return {f"aim{name}": tensor for name, tensor in vars(self).items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` gave."""
        for name, tensor in vars(self).items():
            tensor.copy_(state[f"aim{name}"])


@torch.no_grad()
def reimagine(
    video: TextToVideo,
    frames: Tensor,
    text: Tensor,
    negative: Tensor,
    guidance: Guidance,
    start: int,
    steps: int,
    generator: torch.Generator,
    known: Tensor,
) -> Tensor:
    """What the prior makes of frames [F, 3, H, W] over white, in [0, 1]: noised and denoised.

    Args:
        text, negative: embeddings [1, L, C].
        start: timestep it is noised to; what is decided at larger ones stays as it is.
        steps: of DDIM from there to the clean clip (arXiv 2010.02502, eq. 12, η = 0).
        known: bool [F], frames that stay as they are: at every step they are put back, noised to
            its timestep (RePaint, arXiv 2201.09865, eq. 8), so that the others go on from them.

    Returns frames like those given. The background, which guidance tints, is made white again.
    """
    schedule = video.schedule
    given = clean = video.encode_images(frames)[None]
    noise = sampling.noise(clean.shape, generator, clean.device)

    def at(t: int) -> Tensor:
        return torch.tensor([t], device=clean.device)

    noisy = schedule.add_noise(clean, noise, at(start))
    for j in range(steps, 0, -1):
        here = at(start * j // steps)
        predicted = guidance.combine(*video.predict_pair(noisy, here, text, negative))
        signal, sigma = schedule.signal_and_noise(here, noisy)
        clean = (noisy - sigma * predicted) / signal
        if j > 1:
            a_next, s_next = schedule.signal_and_noise(at(start * (j - 1) // steps), noisy)
            noisy = a_next * clean + s_next * predicted
            noisy[:, known] = (a_next * given + s_next * noise)[:, known]
    made = resize(video.decode_latents(clean)[0].to(frames.device), tuple(frames.shape[-2:]))
    made = _white_again(made)
    made[known] = frames[known]
    return made


def _white_again(frames: Tensor) -> Tensor:
    """Frames [F, 3, H, W] whose border's median colour is white, brightened by what it lacked."""
    border = torch.cat(
        [frames[..., 0, :], frames[..., -1, :], frames[..., :, 0], frames[..., :, -1]], -1
    )
    median = border.transpose(0, 1).flatten(1).median(1).values
    return (frames + (1.0 - median)[:, None, None]).clamp(0.0, 1.0)

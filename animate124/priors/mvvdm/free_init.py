"""FreeInit (arXiv 2312.07537): noise whose low frequencies come from an earlier sampling."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

_ORDER, _STOP = 4, 0.25  # Butterworth filter; in space and in time alike


def renoised(noisy: Tensor, fresh: Tensor) -> Tensor:
    """Low frequencies of `noisy` and high ones of `fresh`, both [..., T, 4, h, w].

    `noisy` is the earlier result, diffused to the end with the noise that it was made from.
    Frequencies are along time, rows and columns of each clip.
    """
    axes = (-4, -2, -1)
    keep = low_pass(noisy.shape[-4], noisy.shape[-2], noisy.shape[-1]).to(noisy.device)
    keep = torch.fft.ifftshift(keep)[:, None]

    def spectrum(x: Tensor) -> Tensor:
        return torch.fft.fftn(x.float(), dim=axes)

    mixed = spectrum(noisy) * keep + spectrum(fresh) * (1.0 - keep)
    return torch.fft.ifftn(mixed, dim=axes).real


@lru_cache(maxsize=8)
def low_pass(frames: int, height: int, width: int) -> Tensor:
    """The filter's gain [frames, height, width] in (0, 1], frequency 0 in the middle.

    1 / (1 + (d² / 0.25²)⁴), d² the sum of squares of 2k/size − 1 along the three axes.
    """
    squares = [(2.0 * torch.arange(size) / size - 1.0).square() for size in (frames, height, width)]
    distance = squares[0][:, None, None] + squares[1][:, None] + squares[2]
    return 1.0 / (1.0 + (distance / _STOP**2) ** _ORDER)

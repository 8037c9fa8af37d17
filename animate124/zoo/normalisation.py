"""Batch normalisation of averaged weights, whose statistics training never saw."""

from collections.abc import Callable

import torch
from torch import nn

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@torch.no_grad()
def measure(network: nn.Module, run: Callable[[int], object], batches: int) -> None:
    """Take the statistics anew, in place, and leave the network in evaluation mode.

    They become the plain mean over `batches` batches; run(k) passes the k-th through the network.
    """
    norms = [module for module in network.modules() if isinstance(module, _NORMS)]
    usual = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for k in range(batches):
        run(k)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    network.eval()

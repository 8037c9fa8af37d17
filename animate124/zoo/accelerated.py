"""The processes that `accelerate launch` starts, one for each GPU; without it there is one."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from accelerate import Accelerator, PartialState
from torch import Tensor, nn

from animate124.processes import Processes


class Accelerated(Processes):
    """Processes that average their gradients, and the precision and device of this one.

    precision: "no", "bf16" or "auto", which is bf16 on CUDA and else none. cpu: even if there is a
    GPU.
    """

    def __init__(self, precision: str = "auto", cpu: bool = False) -> None:
        self.device = str(PartialState(cpu=cpu).device)
        if precision == "auto":
            precision = "bf16" if self.device.startswith("cuda") else "no"
        self.precision = precision
        self._accelerator = Accelerator(mixed_precision=precision, cpu=cpu)
        self.main = self._accelerator.is_main_process
        self.index = self._accelerator.process_index
        self.count = self._accelerator.num_processes

    def wait(self) -> None:
        self._accelerator.wait_for_everyone()

    def largest(self, number: int) -> int:
        told = torch.tensor([number], device=self.device)
        return int(self._accelerator.gather(told).max())

    def mean(self, value: Tensor) -> Tensor:
        """The mean of the processes' values, without gradient."""
        return self._accelerator.reduce(value.detach(), "mean")

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as it is to be called: in this precision, and so that `backward` leaves in
        every process the mean of all processes' gradients. Its parameters stay where they are."""
        return self._accelerator.prepare_model(network)

    def apart(self, wrapped: nn.Module) -> AbstractContextManager:
        """A context in which calls of a `wrap`ped network leave the process's own gradients."""
        return self._accelerator.no_sync(wrapped)

    def end(self) -> None:
        """Say goodbye, when all have done their work."""
        self.wait()
        self._accelerator.end_training()

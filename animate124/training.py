"""The one optimisation loop: progress, log, checkpoints, exact resume, guards, previews.

A run that is killed at any moment and started again ends with the same bytes as an undisturbed
one on the same machine. That holds because everything random is derived from (seed, step), never
carried along, and everything carried along is in the checkpoint.
"""

from __future__ import annotations

import math
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from animate124 import checkpoints, runtime
from animate124.errors import UserError
from animate124.interrupts import stop_signals
from animate124.media import files, images
from animate124.processes import ALONE, Processes
from animate124.progress import Display, Log, clock
from animate124.settings.base import digest
from animate124.settings.training import TrainSettings

LOG_NAME = "log.jsonl"
PREVIEWS = "previews"

# Writing checkpoints may cost at most about this share of the time, however large the model is.
_CHECKPOINT_SHARE = 0.05


class Task(ABC):
    """What is optimised. The loop owns everything else.

    Every method's result may depend on the step and on the task's state, and on nothing that a
    checkpoint does not hold: use `runtime.generator(seed, name, concern, step)` for randomness.
    """

    name: str

    @abstractmethod
    def parameters(self) -> list[dict[str, Any]]:
        """Parameter groups for Adam: "params" a list of (name, tensor) pairs, "lr", and so on.

        Names are unique over all groups and stand in the checkpoint.
        """

    @abstractmethod
    def loss(self, step: int) -> dict[str, Tensor]:
        """Named scalar terms, already weighted; the loop sums them for one backward pass."""

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam over `parameters`, fused where torch can (10 to 15 times faster on a CPU)."""
        groups = self.parameters()
        tensors = [tensor for group in groups for _, tensor in group["params"]]
        fused = all(t.is_floating_point() and t.device.type in ("cpu", "cuda") for t in tensors)
        return torch.optim.Adam(groups, fused=fused)

    def lr_scale(self, step: int) -> float:
        """Factor on every group's learning rate at `step`, a pure function of it."""
        return 1.0

    def before_step(self, step: int) -> None:  # noqa: B027 (a hook)
        """Called before `loss`, e.g. to refresh an occupancy grid."""

    def after_step(self, step: int) -> None:  # noqa: B027 (a hook)
        """Called after the parameters moved."""

    def preview(self, step: int) -> Tensor | np.ndarray | None:
        """An image [H, W, 3] in [0, 1] of the present state, or None."""
        return None

    def state(self) -> dict[str, Tensor]:
        """What a resume needs besides parameters, optimiser and step."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027 (a hook)
        """Take back what `state` gave; tensors arrive on the CPU."""


@dataclass(frozen=True)
class TrainReport:
    """What a run did. `seconds` counts all sessions, `peak_memory_mib` this one alone."""

    steps: int
    seconds: float
    peak_memory_mib: float
    peak_device_memory_mib: float | None
    losses: dict[str, float] = field(default_factory=dict)
    resumed_from: int | None = None


def run(
    task: Task, settings: TrainSettings, work: Path, fingerprint: str, processes: Processes = ALONE
) -> TrainReport:
    """Optimise `task` for `settings.steps` steps, resuming from `work` if a checkpoint fits.

    Args:
        work: folder for checkpoint, log and previews; one process at a time. Not a folder of
            Snakemake's outputs, which are deleted when a job fails.
        fingerprint: identifies inputs and the stage's settings; a checkpoint of another one is
            moved aside. The loop adds its own settings and the task's name.
        processes: those that take the same steps together, on one `work`.

    The parameters are changed in place. The checkpoint of the last step stays until `finish`, so
    that a failure while outputs are written costs no training.

    Raises:
        UserError: NaN or infinity (naming step and term or parameter), a folder in use, a final
            checkpoint that cannot be written, or an environment that `runtime` complains about.
        SystemExit: 128 + n after signal n (SIGTERM, SIGINT), when the state is saved.
    """
    if complaints := runtime.problems():
        raise UserError(complaints[0])
    identity = f"{fingerprint}/{task.name}/{digest(settings)}"
    # Libraries may draw from the global generators behind our back (dropout): they are seeded anew
    # at every step, and the caller gets them back as they were.
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    lock = checkpoints.locked(work) if processes.main else nullcontext()
    with lock, torch.random.fork_rng(devices=list(devices)):
        if processes.main:
            files.clean_stale(work)
        return _Loop(task, settings, work, identity, processes).run()


def reached(task: Task, work: Path, fingerprint: str) -> checkpoints.Checkpoint | None:
    """Put the state of an unfinished run into `task`; its checkpoint, or None if there is none.

    `fingerprint` is the whole one, with the task's name and the digest of the loop's settings. The
    checkpoint stays where it is.
    """
    with checkpoints.locked(work):
        found = checkpoints.load(work, fingerprint, print)
    if found is None:
        return None
    task.load_state(checkpoints.restore(found, task.optimizer()))
    return found


def finish(work: Path) -> None:
    """Remove the resumable state, once the outputs made from it are safe; log and previews stay."""
    with checkpoints.locked(work):
        checkpoints.remove(work)


class _Loop:
    """One session of a run: the state that its phases share."""

    def __init__(
        self, task: Task, settings: TrainSettings, work: Path, identity: str, processes: Processes
    ) -> None:
        self.task, self.settings, self.work, self.identity = task, settings, work, identity
        self.processes, self.main = processes, processes.main
        self.optimizer = task.optimizer()
        self.named = checkpoints.named_parameters(self.optimizer)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.losses: dict[str, float] = {}
        self.earlier_seconds = 0.0
        self.saved_step: int | None = None
        self.warned = False

    def run(self) -> TrainReport:
        notes: list[str] = []
        # The others read what the main process has left after it set aside what does not fit.
        with self.processes.main_first():
            resumed = self._resume(notes.append)
        start = resumed or 0
        self.began = time.perf_counter()
        self.next_save = self.began + self.settings.checkpoint_seconds
        with (
            stop_signals() as stop,
            Display(self.task.name, self.settings.steps, start, shown=self.main) as self.display,
            Log(self.work / LOG_NAME, start) if self.main else nullcontext() as self.log,
        ):
            for note in notes:
                self.display.say(note)
            for step in range(start, self.settings.steps):
                loss = self._step(step)
                self.display.update(step + 1, loss)
                if number := self.processes.largest(stop.signal or 0):
                    self._leave(step + 1, number)
                if step + 1 < self.settings.steps and time.perf_counter() >= self.next_save:
                    self._checkpoint(step + 1)
            self._complete(start)
            # It may have come while the final state was written.
            if number := self.processes.largest(stop.signal or 0):
                self._leave(self.settings.steps, number)
        return TrainReport(
            steps=self.settings.steps,
            seconds=self._seconds(),
            peak_memory_mib=runtime.peak_memory_mib(),
            peak_device_memory_mib=runtime.peak_device_memory_mib(),
            losses=self.losses,
            resumed_from=resumed,
        )

    def _resume(self, say: Callable[[str], None]) -> int | None:
        """Load what fits; returns the number of finished steps, or None for a fresh start."""
        found = checkpoints.load(self.work, self.identity, say)
        if found is None:
            return None
        why = checkpoints.mismatch(found, self.optimizer, self.task.state())
        if why is not None:
            checkpoints.set_aside(self.work, why, say)
            return None
        self.task.load_state(checkpoints.restore(found, self.optimizer))
        self.earlier_seconds, self.losses = found.seconds, found.losses
        self.saved_step = found.step
        say(f"resuming after step {found.step} of {self.settings.steps}.")
        return found.step

    def _step(self, step: int) -> float:
        """One optimisation step; returns the summed loss, which is finite."""
        task, settings = self.task, self.settings
        _seed_globals(runtime.derive_seed(settings.seed, task.name, "global", step))
        scale = task.lr_scale(step)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * scale
        task.before_step(step)
        # None, not zero: parameters without a gradient (unused time slices) are then skipped.
        self.optimizer.zero_grad(set_to_none=True)
        terms = task.loss(step)
        total = sum(terms.values())
        total.backward()
        loss = self._checked(step, terms, total)
        self.optimizer.step()
        task.after_step(step)
        last = step + 1 == settings.steps
        if not self.main:
            return loss
        if last or step % settings.log_every == 0:
            self._write_log(step, loss, terms)
        if settings.preview_every and (last or (step + 1) % settings.preview_every == 0):
            self._write_preview(step + 1)
        return loss

    def _checked(self, step: int, terms: dict[str, Tensor], total: Tensor) -> float:
        """The loss as a number, after making sure that it and all gradients are finite.

        A sum over each gradient cannot miss a NaN or infinity and costs an eighth of fused Adam
        (isfinite: 3 times Adam); with the loss it is fetched in one synchronisation.
        """
        sums = [p.grad.sum() for p in self.named.values() if p.grad is not None]
        probes = torch.stack([t.detach().to(total.device, torch.float64) for t in (total, *sums)])
        loss, *gradients = probes.tolist()
        if not math.isfinite(loss + sum(gradients)):
            self._raise_if_broken(step, terms, loss)
        return loss

    def _raise_if_broken(self, step: int, terms: dict[str, Tensor], loss: float) -> None:
        """Find what is not finite: a term, their sum, or the parameters whose gradient is not."""
        bad = {name: term.item() for name, term in terms.items() if not _finite(term)}
        if bad:
            what = " and ".join(f"the loss term '{name}' is {value}" for name, value in bad.items())
        elif not math.isfinite(loss):
            what = f"the sum of the loss terms is {loss}"
        else:
            gradients = {n: p.grad for n, p in self.named.items() if p.grad is not None}
            names = _not_finite(gradients)
            if not names:
                return  # only the sum over a gradient overflowed
            what = f"the gradient of {names} is not finite though the loss is"
        self._check_parameters(f"{step}: {what}")
        raise self._broken(f"{step}: {what}")

    def _check_parameters(self, where: str) -> None:
        """Make sure that no parameter is NaN or infinite, so that no such state is ever saved."""
        if names := _not_finite(self.named):
            raise self._broken(f"{where}, the parameter {names} is not finite")

    def _broken(self, what: str) -> UserError:
        kept = "no checkpoint was written yet"
        if self.saved_step is not None:
            kept = f"the checkpoint after step {self.saved_step} is kept"
        return UserError(
            f"Training '{self.task.name}' stopped at step {what}; lower the learning rate or the "
            f"weight of the term that grew ({kept})."
        )

    def _write_log(self, step: int, loss: float, terms: dict[str, Tensor]) -> None:
        self.losses = {name: term.item() for name, term in terms.items()}
        rates = [group["lr"] for group in self.optimizer.param_groups]
        record = {"step": step, "loss": loss, "terms": self.losses, "lr": rates}
        try:
            self.log.write(record | {"seconds": round(self._seconds(), 3)})
        except OSError as error:
            self._warn_once(f"the log could not be written ({error.strerror})")

    def _write_preview(self, done: int) -> None:
        with torch.no_grad():
            image = self.task.preview(done)
        if image is None:
            return
        pixels = image.detach().cpu().numpy() if isinstance(image, Tensor) else image
        try:
            images.write_png(self.work / PREVIEWS / f"{done:06d}.png", pixels)
        except (OSError, UserError) as error:
            self._warn_once(f"a preview could not be written ({error})")

    def _checkpoint(self, done: int) -> None:
        """Save in passing: a full disk costs a warning, not the training."""
        self._check_parameters(f"{done}")
        before = time.perf_counter()
        try:
            self._save(done)
        except (OSError, UserError) as error:
            kept = "none yet" if self.saved_step is None else f"step {self.saved_step} stays"
            self._warn_once(
                f"the checkpoint after step {done} could not be written: {error} "
                f"Training goes on (last checkpoint: {kept})."
            )
        now = time.perf_counter()
        pause = self.settings.checkpoint_seconds
        if pause > 0:  # 0 is taken at its word
            pause = max(pause, (now - before) / _CHECKPOINT_SHARE)
        self.next_save = now + pause

    def _save(self, done: int) -> None:
        if not self.main:
            return
        self.log.sync()
        tensors, scalars = checkpoints.collect(self.optimizer, self.task.state())
        checkpoint = checkpoints.Checkpoint(done, self._seconds(), self.losses, tensors, scalars)
        checkpoints.save(self.work, checkpoint, self.identity)
        self.saved_step = done

    def _complete(self, start: int) -> None:
        """The state after the last step: without it, an error in the caller would cost it all."""
        steps = self.settings.steps
        if self.saved_step != steps:
            self._check_parameters(f"{steps}")
            try:
                self._save(steps)
            except (OSError, UserError) as error:
                raise UserError(
                    f"Training '{self.task.name}' reached its last step, {steps}, but the final "
                    f"state could not be written: {error} Then run the same command again."
                ) from error
        self.display.say(
            f"{steps} steps in {clock(self._seconds())} (this session {steps - start}), "
            f"peak memory {runtime.peak_memory_mib():.0f} MiB."
        )

    def _leave(self, done: int, number: int) -> None:
        """Save and exit because of signal `number`."""
        self._check_parameters(f"{done}")
        name = signal.Signals(number).name
        try:
            if self.saved_step != done:
                self._save(done)
        except (OSError, UserError) as error:
            kept = "there is none" if self.saved_step is None else f"step {self.saved_step}"
            self.display.say(
                f"stopped by {name} after step {done}, but the checkpoint could not be written: "
                f"{error} Last checkpoint: {kept}."
            )
        else:
            self.display.say(
                f"stopped by {name} after step {done} of {self.settings.steps}; the checkpoint is "
                "saved, the same command goes on from here."
            )
        self.processes.wait()  # a launcher kills the others as soon as one has ended
        raise SystemExit(128 + number)

    def _warn_once(self, sentence: str) -> None:
        if not self.warned:
            self.warned = True
            self.display.say(f"warning: {sentence}")

    def _seconds(self) -> float:
        return self.earlier_seconds + time.perf_counter() - self.began


def _seed_globals(seed: int) -> None:
    # torch.manual_seed does the same at twenty times the cost, for devices that are not in use.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _not_finite(named: Mapping[str, Tensor]) -> str:
    """The first name whose tensor holds NaN or infinity and how many more; "" when all are fine."""
    names = [name for name, tensor in named.items() if not math.isfinite(tensor.detach().sum())]
    names = [name for name in names if not _finite(named[name])]
    return f"'{names[0]}'" + (f" and {len(names) - 1} more" if names[1:] else "") if names else ""

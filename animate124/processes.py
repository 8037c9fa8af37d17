"""The processes that take the steps of one training together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Processes:
    """One process alone. Where there are several, `zoo.accelerated` says how they speak.

    main: whether this one writes checkpoints, log and previews, and says anything.
    index, count: which of how many it is.
    """

    main = True
    index, count = 0, 1

    def wait(self) -> None:
        """Until all have come here."""

    def largest(self, number: int) -> int:
        """The largest of the numbers that the processes give."""
        return number

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The main process runs the block, then all the others do."""
        if not self.main:
            self.wait()
        yield
        if self.main:
            self.wait()


ALONE = Processes()

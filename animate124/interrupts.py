"""Stopping politely: a signal becomes a wish that a loop reads between its steps."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Stop:
    """The signal that asked to stop, once there was one."""

    signal: int | None = None


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn SIGTERM and SIGINT into a wish that the loop reads between steps; a second Ctrl-C kills.

    Python hands signals to the main thread only, so in any other thread nothing is caught.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: object) -> None:
        if stop.signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        stop.signal = number
        # Not print: a handler may interrupt a print that holds the stream's lock.
        os.write(2, b"\nstopping after this step, to save it ...\n")

    numbers = (signal.SIGTERM, signal.SIGINT)
    old = [signal.signal(number, ask) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, old, strict=True):
            signal.signal(number, handler)

"""The command line's entry: `animate124` and `python -m animate124`."""

from __future__ import annotations

import signal
import sys
import threading
import traceback

# Importing the package has settled threads and malloc; nothing heavy is loaded before a command is.
from animate124 import runtime
from animate124.errors import UserError


def main() -> None:
    """Run the command line and exit.

    Status 0 success, 1 a bug (with traceback), 2 a fault the user can mend (one sentence), 128 + n
    stopped by signal n (130 for Ctrl-C).
    """
    interrupt = _Interrupt()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupt)
    sys.exit(_guarded(interrupt))


class _Interrupt:
    """Ctrl-C as Python has it, and remembered: what is being imported may turn it into an error of
    its own."""

    came = False

    def __call__(self, number: int, frame: object) -> None:
        self.came = True
        raise KeyboardInterrupt


def _guarded(interrupt: _Interrupt) -> int:
    try:
        if complaints := runtime.problems():
            raise UserError(complaints[0])
        from animate124.cli import app

        app()
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _stopped()
    except Exception as error:
        if interrupt.came:
            return _stopped()
        if remedy := _memory_remedy(error):
            return _fail(remedy)
        traceback.print_exc()
        print(
            f"error: This is a bug in animate124 ({type(error).__name__}), not your doing: please "
            "report it with the lines above.",
            file=sys.stderr,
        )
        return 1
    return 0


def _stopped() -> int:
    print("stopped.", file=sys.stderr)
    return 130


def _fail(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2


def _memory_remedy(error: Exception) -> str | None:
    """A sentence for running out of memory, on the CPU or a GPU; None for any other error."""
    # torch is recognised by its words: it may not be loaded, and its CPU allocator raises a plain
    # RuntimeError.
    if type(error).__name__ == "OutOfMemoryError" or "CUDA out of memory" in str(error):
        return (
            "The GPU's memory is used up: close other programs on it, or choose a smaller "
            "resolution or batch."
        )
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return (
            "The computer's memory is used up: close other programs, or choose a smaller "
            "resolution or batch."
        )
    return None


if __name__ == "__main__":
    main()

"""The command line: fast help, and exit statuses and sentences for every kind of failure."""

import os
import signal
import subprocess
import sys

import pytest
import typer

import animate124
from animate124 import __main__ as entry
from animate124 import cli, runtime
from animate124.errors import UserError

HEAVY = ("torch", "numba", "numpy", "scipy", "pydantic", "diffusers", "imageio", "PIL")


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "animate124", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


def test_help_loads_nothing_heavy():
    code = (
        "import sys, animate124.__main__, animate124.cli\n"
        "try: animate124.cli.app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"
    assert "doctor" in done.stdout and "toybox" in done.stdout


def test_help_costs_less_than_half_a_second():
    # CPU time, not wall time: the machine may be busy with something else.
    before = os.times()
    assert run("--help").returncode == 0
    after = os.times()
    spent = sum(after[2:4]) - sum(before[2:4])
    assert spent < 0.5


def test_every_command_says_what_it_does():
    def visit(group):
        for command in group.registered_commands:
            assert len((command.help or command.callback.__doc__ or "").split()) > 4
        for inner in group.registered_groups:
            visit(inner.typer_instance)

    visit(cli.app)


def test_version():
    assert run("--version").stdout == f"animate124 {animate124.__version__}\n"


def test_unknown_command_names_the_nearest():
    done = run("docto")
    assert done.returncode == 2 and "Did you mean 'doctor'?" in done.stderr


def failing(monkeypatch, error):
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command():
        raise error

    monkeypatch.setattr(cli, "app", lambda: app([]))
    with pytest.raises(SystemExit) as ended:
        entry.main()
    return ended.value.code or 0


class OutOfMemoryError(RuntimeError):
    """As torch.OutOfMemoryError, which cannot be made without torch."""


@pytest.mark.parametrize(
    ("error", "status", "start"),
    [
        (UserError("No image at x.png: give another path."), 2, "error: No image at x.png: give"),
        (MemoryError(), 2, "error: The computer's memory is used up"),
        (OutOfMemoryError("CUDA out of memory. Tried"), 2, "error: The GPU's memory is used up"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            2,
            "error: The computer's memory is used up",
        ),
    ],
)
def test_mendable_failures_are_one_sentence(monkeypatch, capsys, error, status, start):
    assert failing(monkeypatch, error) == status
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith(start) and shown.err.count("\n") == 1


def test_a_bug_shows_its_traceback(monkeypatch, capsys):
    assert failing(monkeypatch, ZeroDivisionError("oops")) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown and "ZeroDivisionError: oops" in shown
    assert shown.splitlines()[-1].startswith("error: This is a bug in animate124")


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_stopping_is_no_failure_of_the_program(monkeypatch, capsys, error, status):
    assert failing(monkeypatch, error) == status
    assert "Traceback" not in capsys.readouterr().err


def test_a_real_allocation_failure_is_recognised():
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as error:
        torch.empty(1 << 50)
    assert "memory is used up" in entry._memory_remedy(error.value)


def test_a_bad_environment_is_refused_with_a_sentence():
    done = run("doctor", ANIMATE124_THREADS="many")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ANIMATE124_THREADS='many' is not a number of threads")
    assert done.stderr.count("\n") == 1


def test_a_bad_environment_stops_training_too(monkeypatch, tmp_path):
    from tiny_training import Tiny

    from animate124 import training
    from animate124.settings.training import TrainSettings

    monkeypatch.setattr(runtime._state, "problems", ["OMP_NUM_THREADS='x' is not a number."])
    with pytest.raises(UserError, match="is not a number"):
        training.run(Tiny(), TrainSettings(steps=1), tmp_path, "x")


def test_ctrl_c_that_an_import_turned_into_an_error_still_stops(monkeypatch, capsys):
    def importing():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("failed to import a module") from None

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(cli, "app", importing)
    try:
        with pytest.raises(SystemExit) as stopped:
            entry.main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.value.code == 130 and capsys.readouterr().err == "stopped.\n"

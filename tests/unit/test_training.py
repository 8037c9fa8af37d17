"""The optimisation loop: the arithmetic, exact resume, guards, log and previews."""

import itertools
import json
import math
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_training import SLICES, USED, Tiny

from animate124 import checkpoints, runtime, training
from animate124.errors import UserError
from animate124.media.images import read_image
from animate124.media.tensors import load_tensors
from animate124.settings.training import TrainSettings

SCRIPT = Path(__file__).with_name("tiny_training.py")


def settings(**values):
    return TrainSettings(**({"steps": 20, "checkpoint_seconds": 1e9, "log_every": 1} | values))


def by_hand(task, steps):
    """The same optimisation written out: Adam (Kingma and Ba, algorithm 1)."""
    rates = {n: 1e-2 if n.startswith("slice") else 3e-3 for n in task.named()}
    moments = {}
    for step in range(steps):
        torch.manual_seed(runtime.derive_seed(0, "tiny", "global", step))
        for p in task.named().values():
            p.grad = None
        terms = task.loss(step)
        (terms["fit"] + terms["pull"]).backward()
        with torch.no_grad():
            for name, p in task.named().items():
                if p.grad is None:
                    continue
                m, v, t = moments.get(name, (0.0, 0.0, 0))
                m, v, t = 0.9 * m + 0.1 * p.grad, 0.999 * v + 0.001 * p.grad**2, t + 1
                moments[name] = (m, v, t)
                rate = rates[name] * task.lr_scale(step)
                p -= rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        task.after_step(step)
    return task.named()


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a.keys() | b.keys())


def test_loop_is_adam_with_schedule_and_sparse_parameters(tmp_path):
    task, reference = Tiny(), Tiny()
    report = training.run(task, settings(), tmp_path, "x")
    expected = by_hand(reference, 20)
    for name, p in task.named().items():
        torch.testing.assert_close(p, expected[name], rtol=2e-5, atol=2e-6)
    untouched = Tiny()
    for index in range(USED, SLICES):  # no gradient: not even moved by momentum
        assert torch.equal(task.slices[index], untouched.slices[index])
    assert report.steps == 20 and report.resumed_from is None
    assert report.peak_memory_mib > 50  # torch alone takes more
    assert set(report.losses) == {"fit", "pull"}


def session(work, steps):
    command = [sys.executable, SCRIPT, work, str(steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def log_of(work):
    return [json.loads(line) for line in (work / training.LOG_NAME).read_text().splitlines()]


def stored(work):
    """Name to bytes of every tensor in the folder's checkpoint."""
    path = work / checkpoints.NAME
    found, _ = load_tensors(path, checkpoints.KIND, checkpoints.VERSION)
    return {name: tensor.numpy().tobytes() for name, tensor in found.items()}


def wait_for_steps(work, process, count):
    """Wait until the log of a running session shows step `count`."""
    log = work / training.LOG_NAME
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if log.exists() and log.read_text().count("\n") > count:
            return
        if process.poll() is not None:
            raise AssertionError(f"ended before step {count}: {process.communicate()}")
        time.sleep(0.002)
    raise AssertionError(f"step {count} was not reached")


def test_killed_three_times_ends_with_the_same_bytes(tmp_path):
    once = settings(steps=60)
    undisturbed = Tiny()
    training.run(undisturbed, once, tmp_path / "a", "inputs")
    rng = random.Random(7)
    work = tmp_path / "b"
    for low, high in ((3, 12), (16, 30), (34, 50)):
        process = session(work, steps=60)
        wait_for_steps(work, process, rng.randint(low, high))
        time.sleep(rng.random() * 0.02)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    task = Tiny()
    report = training.run(task, once, work, "inputs")
    assert report.resumed_from >= 34 - 2  # near where it was killed: it saves at every step
    assert same(task.named(), undisturbed.named())
    assert torch.equal(task.average, undisturbed.average)
    assert stored(work) == stored(tmp_path / "a")  # optimiser state too
    lines, expected = log_of(work), log_of(tmp_path / "a")
    for key in ("step", "loss", "terms", "lr"):
        assert [line[key] for line in lines] == [line[key] for line in expected]
    assert all(a["seconds"] <= b["seconds"] for a, b in itertools.pairwise(lines))
    assert not list(work.glob(".tmp-*"))


def test_second_process_is_refused_and_a_signal_saves(tmp_path):
    work = tmp_path / "w"
    process = session(work, steps=5000)
    try:
        wait_for_steps(work, process, 5)
        with pytest.raises(UserError, match=rf"Another process \({process.pid}\) is working in"):
            training.run(Tiny(), settings(), work, "x")
        with pytest.raises(UserError, match="Another process"):
            training.finish(work)
        process.terminate()
        printed, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM after step" in errors and "Traceback" not in errors
    assert "done" not in printed
    saved = int(errors.split("after step ")[-1].split(" of")[0])
    assert [line["step"] for line in log_of(work)] == list(range(saved))
    training.finish(work)  # the process is gone, and its lock with it


def stop_at(task, step, number=signal.SIGTERM):
    """Make `task` raise a signal within step `step`."""
    loss = task.loss
    task.loss = lambda s: (signal.raise_signal(number) if s == step else None) or loss(s)
    return task


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_resume_in_process_is_exact_and_handlers_come_back(tmp_path, capfd, number):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    full = Tiny()
    training.run(full, settings(), tmp_path / "full", "x")
    with pytest.raises(SystemExit) as stopped:
        training.run(stop_at(Tiny(), 7, number), settings(), tmp_path / "cut", "x")
    assert stopped.value.code == 128 + number
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before
    rest = Tiny()
    report = training.run(rest, settings(), tmp_path / "cut", "x")
    assert report.resumed_from == 8
    assert same(full.named(), rest.named()) and torch.equal(full.average, rest.average)
    assert "resuming after step 8 of 20" in capfd.readouterr().err


def test_optimizer_state_round_trips_as_absent(tmp_path):
    with pytest.raises(SystemExit):
        training.run(stop_at(Tiny(), 3), settings(), tmp_path, "x")
    task = Tiny()
    optimizer = task.optimizer()
    found = checkpoints.load(tmp_path, f"x/tiny/{training.digest(settings())}", print)
    checkpoints.restore(found, optimizer)
    with_state = {name for name, p in task.named().items() if p in optimizer.state}
    assert "slice.0" in with_state and not with_state & {f"slice.{i}" for i in (3, 4, 5)}
    assert optimizer.state[task.net[0].weight]["step"].item() == 4


def test_plain_sgd_whose_state_holds_none_resumes(tmp_path):
    class Sgd(Tiny):
        def optimizer(self):
            return torch.optim.SGD(self.parameters(), momentum=0.0)

    full = Sgd()
    training.run(full, settings(), tmp_path / "full", "x")
    with pytest.raises(SystemExit):
        training.run(stop_at(Sgd(), 7), settings(), tmp_path / "cut", "x")
    rest = Sgd()
    training.run(rest, settings(), tmp_path / "cut", "x")
    assert same(full.named(), rest.named())


def test_finished_run_is_not_repeated_until_finish(tmp_path):
    first = Tiny()
    done = training.run(first, settings(), tmp_path, "x")
    again = Tiny()
    again.loss = lambda step: pytest.fail("a finished run must not train again")
    report = training.run(again, settings(), tmp_path, "x")
    assert report.resumed_from == 20 and same(first.named(), again.named())
    assert report.losses == done.losses and report.seconds >= log_of(tmp_path)[-1]["seconds"] > 0
    training.finish(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [training.LOG_NAME]
    assert training.run(Tiny(), settings(), tmp_path, "x").resumed_from is None


@pytest.mark.parametrize(
    "change", [{"fingerprint": "y"}, {"steps": 21}, {"seed": 1}], ids=lambda c: next(iter(c))
)
def test_checkpoint_of_another_run_is_set_aside(tmp_path, capfd, change):
    training.run(Tiny(), settings(), tmp_path, "x")
    old = (tmp_path / checkpoints.NAME).read_bytes()
    other = settings(**{k: v for k, v in change.items() if k != "fingerprint"})
    report = training.run(Tiny(), other, tmp_path, change.get("fingerprint", "x"))
    assert report.resumed_from is None
    assert (tmp_path / "checkpoint.unused-1.safetensors").read_bytes() == old
    said = [line for line in capfd.readouterr().err.splitlines() if "not used" in line]
    assert len(said) == 1 and "other settings or inputs" in said[0]


def test_cosmetic_settings_do_not_disown_a_checkpoint(tmp_path):
    training.run(Tiny(), settings(), tmp_path, "x")
    assert training.run(Tiny(), settings(log_every=7), tmp_path, "x").resumed_from == 20


@pytest.mark.parametrize("part", ["truncated", "empty", "header", "data", "metadata"])
def test_corrupt_checkpoint_is_set_aside(tmp_path, capfd, part):
    training.run(Tiny(), settings(), tmp_path, "x")
    path = tmp_path / checkpoints.NAME
    data = bytearray(path.read_bytes())
    if part == "truncated":
        del data[len(data) // 2 :]
    elif part == "empty":
        data.clear()
    elif part == "header":
        data[0] ^= 0xFF
    elif part == "metadata":  # a whole file that tells another step
        at = data.index(b'"step":"20"')
        data[at : at + 11] = b'"step":"10"'
    else:
        data[-3] ^= 0x10
    path.write_bytes(data)
    task, fresh = Tiny(), Tiny()
    assert training.run(task, settings(), tmp_path, "x").resumed_from is None
    training.run(fresh, settings(), tmp_path / "fresh", "x")
    assert same(task.named(), fresh.named())
    assert (tmp_path / "checkpoint.unused-1.safetensors").read_bytes() == bytes(data)
    assert capfd.readouterr().err.count("cannot be read") == 1


def test_checkpoint_of_other_shapes_is_set_aside(tmp_path, capfd):
    class Wider(Tiny):
        def __init__(self):
            super().__init__()
            self.slices[5] = torch.nn.Parameter(torch.zeros(33, 3))

    training.run(Tiny(), settings(), tmp_path, "x")
    assert training.run(Wider(), settings(), tmp_path, "x").resumed_from is None
    assert "'parameter/slice.5' was [32, 3] and is [33, 3]" in capfd.readouterr().err


def broken_at(step, make):
    task = Tiny()
    loss = task.loss

    def broken(s):
        terms = loss(s)
        return make(task, terms) if s == step else terms

    task.loss = broken
    return task


def infinite_gradient(task, terms):
    # sqrt has an infinite slope at 0, where its value is fine.
    return terms | {"edge": (task.slices[2][:1] * 0.0).abs().sqrt().sum()}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda task, t: t | {"pull": t["pull"] * math.nan}, ["step 4", "'pull' is nan"]),
        (lambda task, t: t | {"fit": t["fit"] + math.inf}, ["step 4", "'fit' is inf"]),
        (lambda task, t: {n: v * 0 + 3e38 for n, v in t.items()}, ["step 4", "terms is inf"]),
        (infinite_gradient, ["step 4", "gradient of 'slice.2' is not finite"]),
    ],
    ids=["nan", "inf", "sum", "gradient"],
)
def test_non_finite_stops_and_names_the_cause(tmp_path, make, words):
    with pytest.raises(UserError) as error:
        training.run(broken_at(4, make), settings(), tmp_path, "x")
    assert all(word in str(error.value) for word in words)
    assert "no checkpoint was written yet" in str(error.value)
    assert not (tmp_path / checkpoints.NAME).exists()


def test_broken_parameter_is_never_saved(tmp_path):
    task = Tiny()
    after = task.after_step

    def spoil(step):
        after(step)
        if step == 12:
            with torch.no_grad():
                task.slices[5][0, 0] = math.nan  # a slice that no loss looks at

    task.after_step = spoil
    with pytest.raises(UserError, match=r"step 13, the parameter 'slice\.5' is not finite"):
        training.run(task, settings(checkpoint_seconds=0.0), tmp_path, "x")
    saved, _ = load_tensors(tmp_path / checkpoints.NAME, checkpoints.KIND, checkpoints.VERSION)
    assert all(t.isfinite().all() for t in saved.values())


def test_full_disk_warns_once_and_goes_on_then_fails_at_the_end(tmp_path, capfd, monkeypatch):
    save = checkpoints.save
    allowed = [True] * 2

    def full_after_two(*arguments):
        if not allowed:
            raise UserError("Cannot write x: the disk is full.")
        allowed.pop()
        save(*arguments)

    monkeypatch.setattr(checkpoints, "save", full_after_two)
    with pytest.raises(UserError, match="last step, 20, but the final state could not be written"):
        training.run(Tiny(), settings(checkpoint_seconds=0.0), tmp_path, "x")
    errors = capfd.readouterr().err
    assert errors.count("could not be written") == 1
    assert "last checkpoint: step 2 stays" in errors
    monkeypatch.undo()  # space was made: the run goes on from what was kept
    task, full = Tiny(), Tiny()
    assert training.run(task, settings(), tmp_path, "x").resumed_from == 2
    training.run(full, settings(), tmp_path / "full", "x")
    assert same(task.named(), full.named())


def test_log_every_and_previews(tmp_path):
    task = Tiny()
    training.run(task, settings(steps=11, log_every=4, preview_every=5), tmp_path, "x")
    lines = log_of(tmp_path)
    assert [line["step"] for line in lines] == [0, 4, 8, 10]
    assert lines[1]["lr"][0] == pytest.approx(1e-2 * task.lr_scale(4))
    assert all(
        line["loss"] == pytest.approx(sum(line["terms"].values()), rel=1e-6) for line in lines
    )
    previews = sorted(p.name for p in (tmp_path / training.PREVIEWS).iterdir())
    assert previews == ["000005.png", "000010.png", "000011.png"]
    image = read_image(tmp_path / training.PREVIEWS / "000011.png")
    assert abs(image - task.preview(11).numpy()).max() <= 0.5 / 255 + 1e-6


def test_global_generator_is_given_back(tmp_path):
    task = Tiny()
    torch.manual_seed(123)
    expected = torch.rand(4)
    torch.manual_seed(123)
    training.run(task, settings(), tmp_path, "x")
    assert torch.equal(torch.rand(4), expected)


def test_zero_steps(tmp_path):
    task = Tiny()
    report = training.run(task, settings(steps=0), tmp_path, "x")
    assert report.losses == {} and same(task.named(), Tiny().named())


def test_unnamed_and_doubly_named_parameters_are_refused(tmp_path):
    class Unnamed(Tiny):
        def parameters(self):
            return [{"params": self.slices, "lr": 1e-2}]

        def optimizer(self):
            return torch.optim.Adam(self.parameters())

    class Doubled(Tiny):
        def parameters(self):
            return [{"params": [("a", self.slices[i])], "lr": 1e-2} for i in range(2)]

    with pytest.raises(ValueError, match="pairs"):
        training.run(Unnamed(), settings(), tmp_path, "x")
    with pytest.raises(ValueError, match="two parameters are called 'a'"):
        training.run(Doubled(), settings(), tmp_path, "x")

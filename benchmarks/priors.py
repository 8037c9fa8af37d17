"""What the diffusion priors cost on this machine: `python benchmarks/priors.py [--json]`.

Every role of a profile (`--profile`, by default nano) is loaded and measured in a process of its
own, so that its load time and peak memory are its own too; a role whose weights are absent is
skipped with a line that says so. `--roles` limits which. With --json it prints one flat object,
whose keys begin with the role:

  parameters, megabytes      of the role's networks with the models it builds on; weight files
  load_seconds               from the folder to a model that can be called, after all imports
  peak_mib, loaded_mib       resident memory: at its peak and after loading, imports included (and
                             imports_mib: before loading)
  call_ms                    predict_pair of one image, or of one clip of 8 frames: the guided pair
                             in one batched call (multi-view video: 4 views of 8 frames; action
                             recognition: a clip; depth, matting, embedding: one image)
  single_call_ms             one unguided prediction
  pair_vs_two_calls          2 · single_call_ms / call_ms: above 1, one call of two is worth it
  pair_vs_two_calls_cpu      the same in CPU time
  sds_step_ms                a step of score distillation: images to latents with a gradient, noise,
                             predict_pair and the way back to the images (tile control: one-step x0)
  sds_encode_ms              of that, encoding and its backward pass
  text_ms                    encoding a new sentence (novel view: reference_ms, a new reference)
  embed_clip_ms              embedding: a clip of 8 frames
  threads, idle_cores        torch's threads; cores that nobody used just before the measurements
  one_thread_vs_all          call_ms with one thread / call_ms with all (above 1: threads help)

Times are medians of interleaved repetitions in milliseconds of wall time; `_cpu_ms` is the CPU time
of all threads, which suffers less where other work holds the cores.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import animate124  # noqa: F401  settles threads before numba and torch load

# isort: split
import torch
from timing import idle_cores, interleaved
from torch import Tensor

from animate124 import runtime
from animate124.errors import UserError
from animate124.priors.distill import sds as image_sds
from animate124.priors.distill import surrogate, video_sds, x0_target
from animate124.priors.guidance import Guidance
from animate124.priors.profiles import Profile, load_profile
from animate124.priors.weights import parameter_counts

FRAMES, VIEWS = 8, 4
TEXT = "a panda is dancing, front view"
Figures = dict[str, float | str]
Calls = dict[str, Callable[[], object]]


def _image(*shape: int) -> Tensor:
    """Random images [..., 3, H, W] in [0, 1]."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def _diffusion(
    prior: Any, pair: Callable, single: Callable, objective: Callable, lead: tuple[int, ...]
) -> Calls:
    """Calls of a latent diffusion prior for images (`lead` is (1,)) or clips ((clips, frames))."""
    size, t = prior.image_size, torch.full((lead[0],), 500)
    latent = torch.randn(
        *lead, *prior.latent_shape(1)[1:], generator=torch.Generator().manual_seed(1)
    )
    images = _image(*lead, 3, size, size).requires_grad_()
    generator = torch.Generator().manual_seed(2)

    def encode() -> None:
        images.grad = None
        prior.encode_images(images).sum().backward()

    def step() -> None:
        images.grad = None
        latents = prior.encode_images(images)
        found = objective(latents, t, pair, prior.schedule, Guidance(5.0), generator)
        surrogate(latents, found.gradient).backward()

    return {
        "call": lambda: pair(latent, t),
        "single_call": lambda: single(latent, t),
        "sds_step": step,
        "sds_encode": encode,
    }


def text_to_image(**places: Path) -> Iterator[Any]:
    from animate124.priors.text_to_image import TextToImage

    prior = TextToImage.load(places["folder"], vae=places.get("vae"))
    yield prior
    text, negative = prior.encode_text([TEXT]), prior.encode_text([""])
    yield _diffusion(
        prior,
        lambda x, t: prior.predict_pair(x, t, text, negative),
        lambda x, t: prior.predict(x, t, text),
        image_sds,
        (1,),
    ) | {"text": _new_sentences(prior)}


def text_to_video(**places: Path) -> Iterator[Any]:
    from animate124.priors.text_to_video import TextToVideo

    prior = TextToVideo.load(places["folder"], base=places.get("base"), vae=places.get("vae"))
    yield prior
    text, negative = prior.encode_text([TEXT]), prior.encode_text([""])
    yield _diffusion(
        prior,
        lambda x, t: prior.predict_pair(x, t, text, negative),
        lambda x, t: prior.predict(x, t, text),
        video_sds,
        (1, FRAMES),
    ) | {"text": _new_sentences(prior)}


def novel_view(**places: Path) -> Iterator[Any]:
    from animate124.priors.novel_view import NovelView, pose_token

    prior = NovelView.load(places["folder"], vae=places.get("vae"))
    yield prior
    image = _image(1, 3, prior.image_size, prior.image_size)
    reference, pose = prior.reference(image), pose_token(0.0, 90.0, 0.0)
    yield _diffusion(
        prior,
        lambda x, t: prior.predict_pair(x, t, reference, pose),
        lambda x, t: prior.predict(x, t, reference, pose),
        image_sds,
        (1,),
    ) | {"reference": lambda: prior.reference(image)}


def multi_view_video(**places: Path) -> Iterator[Any]:
    from animate124.priors.multiview_video import MultiViewVideo

    where = {name: place for name, place in places.items() if name != "folder"}
    prior = MultiViewVideo.load(places["folder"], **where)
    yield prior
    views = _image(VIEWS, 3, prior.image_size, prior.image_size)
    azimuth = torch.arange(VIEWS) * 360.0 / VIEWS
    condition = prior.condition(views, azimuth, torch.zeros(VIEWS), TEXT)

    def single(x: Tensor, t: Tensor) -> Tensor:  # as clips are made towards their end
        with torch.no_grad():
            return prior._output(x, t[:1], condition, slice(0, 1))

    yield _diffusion(
        prior,
        lambda x, t: prior.predict_pair(x, t, condition),
        single,
        video_sds,
        (VIEWS, FRAMES),
    ) | {"text": _new_sentences(prior)}


def tile_control(**places: Path) -> Iterator[Any]:
    from animate124.priors.tile_control import TileControl

    prior = TileControl.load(places["folder"], base=places["base"], vae=places.get("vae"))
    yield prior
    text, negative = prior.encode_text([TEXT]), prior.encode_text([""])
    condition = _image(1, 3, prior.image_size, prior.image_size)

    def single(x: Tensor, t: Tensor) -> Tensor:  # nobody else wants it unguided
        with torch.no_grad():
            return prior._output(x, t, text, condition, text)

    yield _diffusion(
        prior,
        lambda x, t: prior.predict_pair(x, t, text, negative, condition),
        single,
        x0_target,
        (1,),
    ) | {"text": _new_sentences(prior)}


def depth(**places: Path) -> Iterator[Any]:
    from animate124.priors.depth import Depth

    model = Depth.load(places["folder"])
    yield model
    image = _image(1, 3, 64, 64)
    yield {"call": lambda: model.estimate(image)}


def matting(**places: Path) -> Iterator[Any]:
    from animate124.priors.matting import Matting

    model = Matting.load(places["folder"])
    yield model
    image = _image(64, 64, 3).numpy()
    yield {"call": lambda: model.matte(image)}


def embedding(**places: Path) -> Iterator[Any]:
    from animate124.priors.embedding import Embedding

    model = Embedding.load(places["folder"])
    yield model
    image, clip = _image(1, 3, 64, 64), _image(1, FRAMES, 3, 64, 64)
    yield {
        "call": torch.no_grad()(lambda: model.embed_images(image)),
        "embed_clip": torch.no_grad()(lambda: model.embed_clip(clip)),
        "text": lambda: model.embed_text([TEXT]),
    }


def action_recognition(**places: Path) -> Iterator[Any]:
    from animate124.priors.action import ActionRecognition

    model = ActionRecognition.load(places["folder"])
    yield model
    clip = _image(1, FRAMES, 3, 64, 64)
    yield {"call": lambda: model.probabilities(clip)}


# Every one of them yields the loaded model, and then the calls that are timed.
ROLES = {
    "text-to-image": text_to_image,
    "novel-view": novel_view,
    "text-to-video": text_to_video,
    "tile-control": tile_control,
    "multi-view-video": multi_view_video,
    "depth": depth,
    "matting": matting,
    "embedding": embedding,
    "action-recognition": action_recognition,
}


def _new_sentences(prior: Any) -> Callable[[], object]:
    """Encodes another sentence at every call: one that is known costs nothing."""
    count = iter(range(1 << 30))
    return lambda: prior.text.encode([f"{TEXT} {next(count)}"])


def size(profile: Profile, role: str) -> Figures:
    """Parameters and megabytes of a role and what it is built on; ONNX weights have no count."""
    places = set(profile.locations(role).values())
    counts = [sum(parameter_counts(place).values()) for place in places if place.is_dir()]
    files = {
        path for place in places for path in ([place] if place.is_file() else place.rglob("*"))
    }
    weights = [path for path in files if path.suffix in (".safetensors", ".bin", ".onnx")]
    return {
        "parameters": sum(counts),
        "megabytes": sum(path.stat().st_size for path in weights) / 1e6,
    }


def measure(profile: Profile, role: str, rounds: int) -> Figures:
    """The figures of one role, in this process."""
    found = size(profile, role)
    threads = torch.get_num_threads()
    found |= {"threads": threads, "idle_cores": idle_cores()}
    parts = ROLES[role](**profile.locations(role))
    module = {"multi-view-video": "multiview_video", "action-recognition": "action"}.get(role, role)
    importlib.import_module(f"animate124.priors.{module.replace('-', '_')}")
    found["imports_mib"] = runtime.peak_memory_mib()
    began = time.perf_counter()
    next(parts)
    found |= {
        "load_seconds": time.perf_counter() - began,
        "loaded_mib": runtime.peak_memory_mib(),
    }
    calls = next(parts)
    times = interleaved(calls, rounds, warm=2)
    for name in calls:
        found |= {f"{name}_ms": times.wall[name], f"{name}_cpu_ms": times.cpu[name]}
    if "single_call" in calls:
        for suffix, clock in (("", times.wall), ("_cpu", times.cpu)):
            found[f"pair_vs_two_calls{suffix}"] = 2 * clock["single_call"] / clock["call"]
    found["peak_mib"] = runtime.peak_memory_mib()
    if threads > 1 and role != "matting":  # whose threads are onnxruntime's, settled at loading
        found["one_thread_vs_all"] = _threads_ratio(calls["call"], threads, rounds)
    return found


def _threads_ratio(call: Callable[[], object], threads: int, rounds: int) -> float:
    """The time of a call on one thread over that on all."""

    def on(count: int) -> None:
        torch.set_num_threads(count)
        call()

    wall = interleaved({"one": lambda: on(1), "all": lambda: on(threads)}, rounds).wall
    return wall["one"] / wall["all"]


def apart(role: str, options: argparse.Namespace) -> Figures:
    """`measure` in a fresh process; raises UserError with its sentence if weights are absent."""
    command = [sys.executable, __file__, "--inside", "--roles", role]
    command += ["--profile", options.profile, "--rounds", str(options.rounds)]
    environment = dict(os.environ)
    if options.threads:
        environment["ANIMATE124_THREADS"] = str(options.threads)
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode == 2:
        raise UserError(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise RuntimeError(f"measuring {role} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def inside(options: argparse.Namespace) -> None:
    """Measure one role and print it; absent weights are a sentence and status 2."""
    try:
        found = measure(load_profile(options.profile), options.roles[0], options.rounds)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--profile", default="nano", help="name or file of a priors profile")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all there are)")
    parser.add_argument("--rounds", type=int, default=15, help="repetitions of every call")
    parser.add_argument("--roles", nargs="+", choices=ROLES, default=list(ROLES), metavar="ROLE")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(options)
    everything: Figures = {}
    for role in options.roles:
        try:
            found = apart(role, options)
        except UserError as absent:
            print(f"{role}: skipped. {absent}", file=sys.stderr)
            continue
        everything |= {f"{role}_{name}": value for name, value in found.items()}
        if not options.json:
            for name, value in found.items():
                print(f"{f'{role}_{name}':40} {value:,.2f}", flush=True)
    if options.json:
        print(json.dumps(everything))
    return None


if __name__ == "__main__":
    main()

"""`animate124 mvvideo`: datasets of multi-view video, and training the published model on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.cli import stage

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Datasets of multi-view video, and training the published-size model on them.",
)


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder of the dataset; what is there stays.")],
    assets: Annotated[
        Path | None, typer.Argument(help="Folder of animated .glb files, searched to its bottom.")
    ] = None,
    toybox: Annotated[
        int, typer.Option(min=0, help="Add the clips of so many characters of the toybox.")
    ] = 0,
    split: Annotated[str, typer.Option(help="Which of its splits: train, dev or test.")] = "train",
    captions: Annotated[
        Path | None,
        typer.Option(
            help="JSON object: clip name (fox_00), or file name without .glb, to sentence."
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Make this clip alone, for a cluster's job per clip.")
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Only print the clips' names, one a line.")
    ] = False,
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    list_settings: Annotated[bool, stage.list_option("mvvideo", "MvVideoSettings")] = False,
) -> None:
    """Render every animation from all sides: pictures, cameras, sentences, manifest.

    Writes into OUT one folder per clip (view_V_frame_KK.png, clip.json) and manifest.jsonl. Killed
    and run again it goes on after the last finished clip; assets that cannot be used are named and
    left out.

    Example: animate124 mvvideo build assets --toybox 100 --out results/mvvideo
    """
    from animate124.settings.mvvideo import MvVideoSettings

    resolved = stage.resolve(MvVideoSettings, config, settings, settings_json)

    from animate124.errors import UserError
    from animate124.kernels import warm
    from animate124.stages.mvvideo_sources import glb_sources, toybox_sources
    from animate124.zoo.mvvideo import build_all

    sources = [] if assets is None else glb_sources(assets, captions)
    sources += toybox_sources(split, toybox)
    if only is not None:
        sources = [source for source in sources if source.name == only]
    if not sources:
        raise UserError(
            f"There is no clip {only}: --names lists them."
            if only
            else "There is nothing to build: give a folder of .glb files, or --toybox."
        )
    if names:
        print("\n".join(source.name for source in sources))
        return
    warm.ensure_compiled()
    made = kept = 0
    wrong: list[str] = []
    for name, found in build_all(sources, out, resolved):
        if isinstance(found, UserError):
            wrong.append(f"{name}: {found}")
        else:
            made, kept = made + found, kept + (not found)
            print(f"{name}: {'made' if found else 'there already'}", flush=True)
    stage.warn(wrong)
    print(f"{out}: {made} clips made, {kept} there already, {len(wrong)} left out.")
    if wrong and not made and not kept:
        raise UserError("Not one of the assets can be used: the lines above say why.")


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="Folder written by `animate124 mvvideo build`.")],
    out: stage.Out,
    profile: stage.Profile = "animate3d",
    settings: stage.Set = None,
    config: stage.Config = None,
    settings_json: stage.SettingsJson = None,
    work: stage.Work = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Train on the CPU.")] = False,
    list_settings: Annotated[bool, stage.list_option("mvvideo", "MvVideoTrainSettings")] = False,
) -> None:
    """Train the multi-view video model of a profile (MV-VDM) on clips on disk.

    The motion modules and the adapter to frame 0 learn, from the profile's weights on; all else
    stays. Writes into OUT animate3d_motion_modules.safetensors and, last, stage.json, and prints
    the profile to use it with. Killed or interrupted, the same command goes on where it stopped.

    On several GPUs: accelerate launch -m animate124 mvvideo train …, with the same options.

    Example: animate124 mvvideo train results/mvvideo --out results/mvvdm
    """
    from animate124.settings.mvvideo import MvVideoTrainSettings

    resolved = stage.resolve(MvVideoTrainSettings, config, settings, settings_json)

    from animate124.stages.models import Models
    from animate124.stages.mvvideo_train import profile_text
    from animate124.stages.mvvideo_train import train as run

    models = Models(profile, "cpu")
    record = run(dataset, out, resolved, models, work=work, cpu=cpu)
    if record is None:
        return
    print(
        f"{out}: {record['steps']} steps of {record['objects_per_step']} clips, "
        f"{record['seconds']:.0f} s in all. Use it with a profile of these lines:\n"
    )
    print(profile_text(out, profile, models), end="")

"""`animate124 toybox`: look at the toybox's characters, write their ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from animate124.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Procedural characters with ground truth: contact sheets and truth bundles.",
)


@app.command()
def render(
    seed: Annotated[int, typer.Option(min=0, help="Which character: the seed it is drawn from.")],
    out: Annotated[Path, typer.Option(help="Folder of the truth bundle to write.")],
    species: Annotated[
        str | None, typer.Option(help="Species; drawn from the seed if left out.")
    ] = None,
    motion: Annotated[
        str | None, typer.Option(help="Motion; drawn from the seed if left out.")
    ] = None,
    views: Annotated[int, typer.Option(min=1, help="Cameras to fit; 4 more are held out.")] = 8,
    frames: Annotated[
        int, typer.Option(min=2, help="Times to fit; the midpoints between them are held out.")
    ] = 16,
    size: Annotated[int, typer.Option(min=8, max=2048, help="Pixels per image side.")] = 128,
    samples: Annotated[
        int, typer.Option(min=1, max=8, help="Subsamples per pixel side (antialiasing).")
    ] = 3,
    tracks: Annotated[int, typer.Option(min=1, help="Surface points to track.")] = 512,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that exists.")] = False,
) -> None:
    """Write one clip's truth bundle: images, depth, normals, flow, tracks, GLBs."""
    from animate124.toybox.bundle import write_bundle
    from animate124.toybox.characters import sample_clip
    from animate124.toybox.splits import split_of

    clip = sample_clip(seed, species=species, motion=motion)
    write_bundle(clip, out, split_of(seed), views, frames, size, samples, tracks, force)
    print(f"{out}: {clip.caption}")


@app.command()
def sheet(
    out: Annotated[Path, typer.Option(help="PNG file to write.")],
    species: Annotated[
        bool, typer.Option("--species", help="Every species from four sides (the default).")
    ] = False,
    motions: Annotated[
        str | None, typer.Option(metavar="SPECIES", help="One species through every motion.")
    ] = None,
    mechanics: Annotated[
        bool, typer.Option("--mechanics", help="Every mechanics clip over time.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the characters.")] = 0,
    size: Annotated[int, typer.Option(min=16, max=1024, help="Pixels per picture side.")] = 128,
) -> None:
    """Draw a contact sheet of the toybox."""
    from animate124.media.images import write_png
    from animate124.toybox import sheets

    if species + (motions is not None) + mechanics > 1:
        raise UserError("Give only one of --species, --motions and --mechanics.")
    if motions is not None:
        image = sheets.motions_sheet(motions, size, seed)
    elif mechanics:
        image = sheets.mechanics_sheet(size)
    else:
        image = sheets.species_sheet(size, seed)
    write_png(out, image)
    print(out)

"""The command line: one module per command, imported without torch, numba or pydantic.

A command's module holds its options and help; its body imports what it needs, so that `--help`
answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

import animate124
from animate124.cli import (
    animate_mesh,
    doctor,
    evaluate,
    export,
    fields,
    fit,
    generate,
    intake,
    invert,
    mvvideo,
    polish,
    preprocess,
    priors,
    reconstruct,
    render,
    report,
    toybox,
    views,
    zoo,
)

app = typer.Typer(
    name="animate124",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help reflows paragraphs and starts faster
    # Errors are turned into sentences in `animate124.__main__`.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"animate124 {animate124.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From one image, or one static 3D asset, and one sentence to a moving 3D scene.

    Start with `animate124 doctor`, which tells what this machine can do. Whole scenes are run by
    the workflow: `snakemake --cores 1 results/panda/video.mp4`.
    """


app.command("doctor")(doctor.doctor)
app.add_typer(toybox.app, name="toybox")
app.add_typer(priors.app, name="priors")
app.command("fit")(fit.fit)
app.command("preprocess")(preprocess.preprocess)
app.command("invert")(invert.invert)
app.command("static")(fields.static)
app.command("dynamic")(fields.dynamic)
app.command("refine")(fields.refine)
app.add_typer(zoo.app, name="zoo")
app.add_typer(mvvideo.app, name="mvvideo")
app.command("render")(render.render)
app.command("export")(export.export)
app.command("evaluate")(evaluate.evaluate)
app.command("intake")(intake.intake)
app.command("views")(views.views)
app.command("animate-mesh")(animate_mesh.animate_mesh)
app.command("generate")(generate.generate)
app.command("reconstruct")(reconstruct.reconstruct)
app.command("polish")(polish.polish)
app.command("report")(report.report)

# What several rule files use.

import subprocess

from animate124.errors import UserError
from animate124.scenes import summary
from animate124.scenes.chain import MESHES, RESULTS, SHOWN, STAGES
from animate124.scenes.plan import Plan
from animate124.zoo import roles


def ask(question, *arguments):
    """What the plan answers; a fault the user can mend ends the run with its one sentence."""
    try:
        return question(*arguments)
    except UserError as error:
        sys.exit(f"error: {error}")


PLAN = ask(Plan, config, REPO)
ask(lambda: PLAN.scenes)
DEVICE = "" if PLAN.config.device == "auto" else f"--device {PLAN.config.device}"
# SLURM gives as many GPUs; without one, `resources: gpu` just lets one such job run at a time.
GPU = 0 if PLAN.config.device == "cpu" else 1
THREADS = PLAN.config.threads


def settings_of(stage):
    """For params: all settings of a stage, as the JSON text its command takes."""
    return lambda wildcards: ask(PLAN.settings_text, stage, wildcards.scene)


def models_of(stage):
    """For params: identity of the models that a stage may use."""
    return lambda wildcards: ask(PLAN.models, stage, wildcards.scene)


def code_of(stage):
    """For params: identity of the code that a stage runs."""
    return lambda wildcards: ask(PLAN.code, stage)


def told(name):
    """For params: what a stage is told, one of `animate124.scenes.prompts.Prompts`."""
    return lambda wildcards: getattr(ask(PLAN.prompts, wildcards.scene), name)


def token_of(stage):
    """The learnt word, as an input of `static` or `refine`, where the stage uses it."""

    def wanted(wildcards):
        if ask(PLAN.uses_word, stage, wildcards.scene):
            return [f"results/{wildcards.scene}/invert/token.safetensors"]
        return []

    return wanted


def token_words(wildcards, input):
    """For params: the option that names the folder of the learnt word, where it is used."""
    return ["--token", f"results/{wildcards.scene}/invert"] if input.token else []


def static_words(wildcards, input):
    """For params: what `static` is told, if the text-to-image model has a say in it."""
    if not input.token:
        return []
    return ["--prompt", told("token_subject")(wildcards), *token_words(wildcards, input)]


def refine_prompt(wildcards, input):
    """For params: the sentence for `refine`, with the learnt word in it where it is used."""
    return told("token_motion" if input.token else "motion")(wildcards)


def profile_of(wildcards):
    """For params: the priors profile of a scene."""
    return ask(PLAN.profile, wildcards.scene)


def truth_of(wildcards):
    """The record of a scene's truth, if it has any."""
    if ask(PLAN.truth_file, wildcards.scene):
        return [f"results/{wildcards.scene}/truth/bundle.json"]
    return []


def files_of_stage(scene, stage):
    """What later stages need of one: its record, and the file that it is there for."""
    files = ["stage.json", *([RESULTS[stage]] if stage in RESULTS else [])]
    return [f"results/{scene}/{stage}/{name}" for name in files]


def shown_of(wildcards):
    """The results that are rendered, the record first."""
    return files_of_stage(wildcards.scene, SHOWN[ask(PLAN.way, wildcards.scene)])


def mesh_of(wildcards):
    """The animated mesh of a scene."""
    stage = MESHES.get(ask(PLAN.way, wildcards.scene))
    if stage is None:
        sys.exit(
            f"error: The scene '{wildcards.scene}' is made of Gaussians and has no animated.glb: "
            "ask for its video.mp4, metrics.json or all."
        )
    return f"results/{wildcards.scene}/{stage}/animated.glb"


def scored_of(wildcards):
    """The results of all stages but the last, which scores them."""
    stages = ask(PLAN.stages, wildcards.scene)[:-1]
    return [file for stage in stages for file in files_of_stage(wildcards.scene, stage)]


def files_of(wildcards):
    """What a whole scene consists of."""
    meshed = ask(PLAN.way, wildcards.scene) in MESHES
    names = ["video.mp4", *(["animated.glb"] if meshed else []), "metrics.json"]
    return [f"results/{wildcards.scene}/{name}" for name in names]


def growing(amount):
    """For resources: twice of it after a first failure (`retries` in a profile).

    Not more with each attempt: a long stage may run out of time many times, and goes on each time,
    while no node has eight times the memory.
    """
    return lambda wildcards, attempt: amount * min(attempt, 2)


def summary_of_run():
    """After a run: what became of its scenes, in words; of a batch also as files."""
    wanted = {}
    for job in workflow.dag.jobs:
        wanted.setdefault(getattr(job.wildcards, "scene", None), set()).add(job.rule.name)
    rows = [
        summary.outcome(Path("results") / name, [s for s in STAGES if s in wanted[name]])
        for name in PLAN.scenes
        if name in wanted
    ]
    if not rows:
        return ""
    made = wanted.get(None, set())
    if made & {"summary", "report_page"}:  # so that they also list the scenes that failed
        summary.summarise(Path("results"), PLAN.scenes, Path("results"))
    done = [row["scene"] for row in rows if row["status"] == "done"]
    if "report_page" in made and 0 < len(done) < len(rows):
        subprocess.run([*REPORT.split(), *done], check=False)
    return summary.describe(rows)


def zoo_needs(role):
    """Cards of the nano models that the model of a role builds on."""
    return [f"results/zoo/models/{need}/card.json" for need in roles.NEEDS.get(role, ())]

"""A checkout of its own to edit, and dry runs of its workflow within this process."""

import shutil
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
    StorageSettings,
)

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("preprocess", "invert", "static", "dynamic", "refine", "render", "export", "evaluate")


def copy_checkout(folder):
    """Package, workflow and configuration in `folder`; the models are links to the real ones."""
    skip = shutil.ignore_patterns("__pycache__", "nano")
    shutil.copytree(ROOT / "animate124", folder / "animate124", ignore=skip)
    (folder / "animate124" / "priors" / "nano").symlink_to(ROOT / "animate124/priors/nano")
    for name in ("workflow", "config"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "environment.yml", folder)
    return folder


class Workflow:
    """The workflow of a checkout, looked at in a folder: the checkout itself unless one is given.

    `pretend` writes placeholders for all outputs and has Snakemake's own touch executor record
    them, so that what it later wants to run again is decided by its real bookkeeping.
    """

    def __init__(self, checkout, config=None, folder=None):
        self.checkout, self.folder, self.config = checkout, folder or checkout, config or {}

    def rules(self, *targets, **config):
        """Sorted "rule scene" of every job that a run for `targets` would do."""
        jobs = self._needed(targets, config)
        return sorted(f"{j.rule.name} {j.wildcards.get('scene', '')}".strip() for j in jobs)

    def stages(self, *targets, **config):
        """The stages among `rules`, in their order, of whatever scene."""
        names = {rule.split()[0] for rule in self.rules(*targets, **config)}
        return [stage for stage in STAGES if stage in names]

    def commands(self, *targets, **config):
        """The shell command of every job of a run for `targets`, by rule."""
        return {j.rule.name: j.shellcmd for j in self._needed(targets, config) if j.shellcmd}

    def definitions(self):
        """Every rule of the workflow by name."""
        with self._planned(("default",), {}) as plan, redirect_stdout(StringIO()):
            plan.summary()
            return {rule.name: rule for rule in plan.workflow_api._workflow.rules}

    def pretend(self, *targets, **config):
        """Write placeholders and have them recorded as results; returns how many jobs that was."""
        jobs = self._needed(targets, config)
        for job in jobs:
            for path in job.output:
                (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / path).write_text(f"placeholder for {path}\n")
        with self._planned(targets, config, forceall=True) as plan:
            plan.execute_workflow(executor="touch")
        return len(jobs)

    def _needed(self, targets, config):
        with self._planned(targets, config) as plan, redirect_stdout(StringIO()):
            plan.summary()
            # No public way to ask; Snakemake's version is pinned.
            dag = plan.workflow_api._workflow.dag
            return list(dag.needrun_jobs(exclude_finished=False))

    @contextmanager
    def _planned(self, targets, config, **settings):
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
            found = api.workflow(
                resource_settings=ResourceSettings(cores=2),
                config_settings=ConfigSettings(config={**self.config, **config}),
                storage_settings=StorageSettings(),
                snakefile=self.checkout / "workflow" / "Snakefile",
                workdir=self.folder,
            )
            yield found.dag(dag_settings=DAGSettings(targets=set(targets), **settings))

"""What the typed settings say of themselves: JSON schemas and config/README.md.

`python -m animate124.scenes.schema` writes both into the checkout; a test compares them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from animate124.media.files import write_text
from animate124.scenes.chain import STAGES
from animate124.scenes.config import WorkflowSettings
from animate124.scenes.table import Scene
from animate124.settings.base import Settings, allowed, describe

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ROOT = Path(__file__).resolve().parents[2]

_HEAD = """# Configuration

<!-- Written by `python -m animate124.scenes.schema`: change the settings' descriptions instead. -->

`config.yaml` holds the workflow's configuration, `scenes.tsv` the scenes. Any key can be given on
the command line, after the target: `snakemake --cores 2 results/panda/video.mp4 --config
preset=smoke 'stages={dynamic: {motion: 1.5}}'`; another file of keys with `--configfile FILE`.

## config.yaml

"""
_SCENES = """
## scenes.tsv

One row a scene, cells separated by one tab each; lines that begin with # are skipped. Only the
first three columns must be there. Pictures and other files are looked for in the working
directory, then in the checkout.

"""
_STAGES = """
## Settings of the stages

What holds for a stage of a scene, from the weakest to the strongest: the defaults below, the
recipe (`recipes/NAME.yaml`), the preset (`presets/NAME.yaml`), `stages` of the configuration, the
scene's columns `seed` and `elevation`, its column `settings`. Recipes and presets have the form
of `stages`: a file of your own in these folders can be named like the ones that are there.

Every artefact has the settings it was made with beside it, in `stage.json`. On the command line of
a stage they are given as `--set train.steps=50`.

"""


def config_schema() -> dict[str, Any]:
    """The JSON schema of config.yaml, with the settings of all stages."""
    schema = WorkflowSettings.model_json_schema()
    definitions = schema.pop("$defs", {})
    stages = {}
    for name, stage in STAGES.items():
        inner = stage.model.model_json_schema()
        definitions |= inner.pop("$defs", {})
        stages[name] = inner
    schema["properties"]["stages"] |= {"properties": stages, "additionalProperties": False}
    return {"$schema": DIALECT, **_plain(schema), "$defs": _plain(definitions)}


def scenes_schema() -> dict[str, Any]:
    """The JSON schema of one row of scenes.tsv."""
    return {"$schema": DIALECT, **_plain(Scene.model_json_schema())}


def _plain(schema: Any) -> Any:
    """A schema without pydantic's titles and without what only `settings.base` uses."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    useless = {"cosmetic"} | ({"title"} if isinstance(schema.get("title"), str) else set())
    useless |= {"unit"} if schema.get("unit", 0) is None else set()
    return {key: _plain(value) for key, value in schema.items() if key not in useless}


def readme() -> str:
    """The text of config/README.md."""
    parts = [_HEAD, _table(WorkflowSettings, "key"), _SCENES, _table(Scene, "column"), _STAGES]
    for name, stage in STAGES.items():
        lines = "\n".join(describe(stage.model))
        parts.append(f"### {name}\n\n{_first_line(stage.model)}\n\n```text\n{lines}\n```\n\n")
    return "".join(parts).rstrip() + "\n"


def _table(model: type[Settings], what: str) -> str:
    rows = [f"| {what} | meaning | what it may be |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        kind = allowed(field).replace(" or null", "").replace(" at least 1 long", "")
        kind = "settings by stage" if kind.startswith("dict") else kind
        rows.append(f"| `{name}` | {field.description} | {kind} |".replace("<", "\\<"))
    return "\n".join(rows) + "\n"


def _first_line(model: type[Settings]) -> str:
    return (model.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


def files(root: Path) -> dict[Path, str]:
    """Everything that is generated, by its path in a checkout."""
    import yaml

    schemas = root / "workflow" / "schemas"
    texts = {
        schemas / f"{name}.schema.yaml": yaml.safe_dump(
            json.loads(json.dumps(schema)), sort_keys=False, allow_unicode=True, width=100
        )
        for name, schema in (("config", config_schema()), ("scenes", scenes_schema()))
    }
    return texts | {root / "config" / "README.md": readme()}


if __name__ == "__main__":
    for path, text in files(ROOT).items():
        write_text(path, text)
        print(path.relative_to(ROOT))

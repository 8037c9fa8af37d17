"""The schemas and config/README.md say what the typed settings say."""

import jsonschema
import pytest
import yaml

from animate124.scenes import schema
from animate124.scenes.chain import STAGES


def test_generated_files_are_up_to_date(root):
    for path, text in schema.files(root).items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path} is out of date: python -m animate124.scenes.schema"
        )


@pytest.fixture(scope="module")
def config():
    return schema.config_schema()


def test_the_schemas_are_schemas(config):
    for one in (config, schema.scenes_schema()):
        jsonschema.Draft202012Validator.check_schema(one)
    assert set(config["properties"]["stages"]["properties"]) == set(STAGES)


def test_the_shipped_files_are_valid(root, config):
    folder = root / "config"
    validator = jsonschema.Draft202012Validator(config)
    validator.validate(yaml.safe_load((folder / "config.yaml").read_text()))
    for kind in ("presets", "recipes"):
        for path in (folder / kind).glob("*.yaml"):
            validator.validate({"stages": yaml.safe_load(path.read_text())})


@pytest.mark.parametrize(
    "wrong",
    [
        {"presett": "smoke"},
        {"seed": "x"},
        {"stages": {"dynamc": {}}},
        {"stages": {"static": {"train": {"steps": -1}}}},
    ],
)
def test_what_is_wrong_is_not_valid(config, wrong):
    assert not jsonschema.Draft202012Validator(config).is_valid(wrong)

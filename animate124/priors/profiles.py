"""Profiles: which model fills which role, where it lies, under which licence.

A profile is a YAML file in `config/priors/`. Nothing here reaches for the network: `locate` only
looks, `animate124.priors.fetch` fetches when it is asked to.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from animate124.errors import UserError
from animate124.settings.base import Settings, parse, setting

ROLES = (
    "text-to-image",
    "novel-view",
    "text-to-video",
    "tile-control",
    "multi-view-video",
    "depth",
    "matting",
    "embedding",
    "action-recognition",
)

PACKAGE = Path(__file__).resolve().parent
_REPOSITORY = PACKAGE.parent.parent
_FOLDER = Path("config") / "priors"


class EntrySettings(Settings):
    """What a profile's YAML file says about one model."""

    model: str = setting(
        ...,
        "Hub id, path within animate124/priors, path of a folder, npm package or rembg model",
        None,
        min_length=1,
    )
    source: Literal["hub", "package", "folder", "npm", "rembg"] = setting(
        "hub", "Where the model comes from, which decides how `model` is read", None
    )
    revision: str = setting("main", "Commit (hub) or version (npm)", None, min_length=1)
    licence: str = setting(..., "Licence of the weights", None, min_length=1)
    commercial: bool | None = setting(
        None, "Whether the licence allows commercial use; null: unclear", None
    )
    bytes: int | None = setting(None, "Expected size of the files", "bytes", ge=1)
    allow_patterns: list[str] = setting(
        ..., "Files that are needed, and all that is fetched (npm: the resource)", None
    )
    sha256: str | None = setting(None, "Checksum of the joined file (npm)", None)
    parameters: dict[str, int] = setting(
        {}, "Parameters of each network, for the memory plan before fetching", "parameters"
    )
    activation_mib: float = setting(
        0.0, "Memory of one guided step beyond the parameters, in float32", "MiB", ge=0
    )
    components: dict[str, str] = setting(
        {}, "Networks that another role or part of the profile lends", None
    )


class _ProfileSettings(Settings):
    about: str = setting(..., "What the profile is for", None, min_length=1)
    language: Literal["photo", "toybox"] = setting(
        "photo", "What its text models were trained on: any captions, or the toybox's alone", None
    )
    based_on: str | None = setting(
        None, "Profile whose roles and parts hold where this one names none", None
    )
    roles: dict[str, dict] = setting({}, "The model of each role", None)
    parts: dict[str, dict] = setting({}, "Models that roles share", None)


@dataclass(frozen=True)
class Entry:
    """One model of a profile.

    `role` is the role, or the part's name, that it fills in `profile`; the other fields are those
    of `EntrySettings`.
    """

    role: str
    profile: str
    model: str
    source: str
    revision: str
    licence: str
    commercial: bool | None
    bytes: int | None
    allow_patterns: tuple[str, ...]
    sha256: str | None
    parameters: Mapping[str, int]
    activation_mib: float
    components: Mapping[str, str]


@dataclass(frozen=True)
class Profile:
    """A named set of models: `entries` by role, `parts` by the names that components use.

    `language` tells what its text models understand: "photo" (any caption) or "toybox" (its
    captions' few words alone).
    """

    name: str
    about: str
    entries: Mapping[str, Entry]
    parts: Mapping[str, Entry]
    language: str = "photo"

    def entry(self, name: str) -> Entry:
        """The entry of a role or part. Raises UserError if the profile has none."""
        found = self.entries.get(name) or self.parts.get(name)
        if found is None:
            known = ", ".join([*self.entries, *self.parts])
            raise UserError(f"The profile {self.name} has no model for '{name}': it has {known}.")
        return found

    def needed(self, role: str | None = None) -> list[Entry]:
        """The entries that `role` (None: any role) needs, components included, each once."""
        names = [role] if role is not None else [*self.entries]
        needed: dict[str, Entry] = {}
        while names:
            entry = self.entry(names.pop(0))
            if entry.role not in needed:
                needed[entry.role] = entry
                names += [name for name in entry.components.values() if name not in names]
        return list(needed.values())

    def locations(self, role: str) -> dict[str, Path]:
        """Folders for a role's loader: "folder" and one per component, such as "vae" or "base".

        Components of a component come along, its own names winning: what `base` takes its `vae`
        from is also the `vae` of who is based on it. Raises UserError as `locate`.
        """
        entry = self.entry(role)
        found: dict[str, Path] = {}
        for component, name in entry.components.items():
            inner = self.locations(name)
            found[component] = inner.pop("folder")
            found = inner | found
        return {"folder": locate(entry)} | found


def names() -> list[str]:
    """Names of the profiles in `config/priors/`, sorted."""
    found = {path.stem for folder in _folders() for path in folder.glob("*.yaml")}
    return sorted(found)


def load_profile(name_or_path: str | os.PathLike) -> Profile:
    """Read and check a profile.

    A name is looked up in `config/priors/` of the working directory, then of the checkout that
    the package was installed from; what ends in .yaml or has a slash is a path.

    Raises:
        UserError: no such profile (naming the nearest), unknown keys or roles (likewise), or
            components that the profile does not hold.
    """
    path = _find(name_or_path)
    profile = _read(path, [])
    for entry in (*profile.entries.values(), *profile.parts.values()):
        for component, name in entry.components.items():
            if name not in profile.entries and name not in profile.parts:
                raise UserError(
                    f"In {path}, {entry.role} takes its {component} from '{name}', which the "
                    f"profile lacks: it has {', '.join([*profile.entries, *profile.parts])}."
                )
            if entry.role in _reachable(profile, name):
                raise UserError(f"In {path}, the components of {entry.role} lead back to it.")
    return profile


def locate(entry: Entry) -> Path:
    """The folder (for rembg: the file) in which the model lies on this disk.

    Raises UserError, with the command that fetches it, if it is not there. That all its files are
    there and whole is for `animate124.priors.weights.examine` to say.
    """
    found = find(entry)
    if found is None:
        raise UserError(absent_sentence(entry))
    return found


def find(entry: Entry) -> Path | None:
    """As `locate`, but None if nothing is there."""
    if entry.source == "rembg":
        return next((path for path in _rembg_files(entry.model) if path.is_file()), None)
    path = _hub_snapshot(entry) if entry.source == "hub" else place(entry)
    return path if path.is_dir() and any(path.iterdir()) else None


def place(entry: Entry) -> Path:
    """Where an entry that does not come from the hub or rembg lies, or would lie."""
    if entry.source == "package":
        return PACKAGE / entry.model
    if entry.source == "folder":
        return Path(entry.model).expanduser()
    assert entry.source == "npm", entry.source
    resource = entry.allow_patterns[0].rsplit("/", 1)[-1]
    return cache_folder() / f"{entry.model.rsplit('/', 1)[-1]}-{entry.revision}-{resource}"


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/animate124`, or `~/.cache/animate124`: fetched other than from the hub."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "animate124"


def absent_sentence(entry: Entry) -> str:
    """That the model is absent, and what to do about it."""
    head = f"The {entry.role} model {entry.model} of the profile {entry.profile} is absent: "
    return head + remedy(entry) + "."


def remedy(entry: Entry) -> str:
    """The command that brings the model."""
    if entry.source == "package":
        name = entry.model.rsplit("/", 1)[-1]
        return f"install animate124 anew, or run animate124 zoo train {name}"
    if entry.source == "folder":
        return f"put its files there, or correct its path in the profile {entry.profile}"
    return f"run animate124 priors fetch --profile {entry.profile} --role {entry.role}"


def _folders() -> list[Path]:
    return [_FOLDER, _REPOSITORY / _FOLDER]


def _find(name_or_path: str | os.PathLike) -> Path:
    text = os.fspath(name_or_path)
    if text.endswith((".yaml", ".yml")) or os.sep in text:
        return Path(text)
    for folder in _folders():
        if (path := folder / f"{text}.yaml").is_file():
            return path
    known = names()
    if not known:
        raise UserError(
            f"No profiles lie in {_FOLDER} or {_REPOSITORY / _FOLDER}: run animate124 in its "
            "checkout, or give the path of a profile."
        )
    near = difflib.get_close_matches(text, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}."
    raise UserError(f"Unknown priors profile '{text}': {hint}")


def _read(path: Path, seen: list[Path]) -> Profile:
    if path in seen:
        raise UserError(f"The profile {path} is based on itself.")
    settings = parse(_ProfileSettings, path)
    profile = Profile(path.stem, settings.about, {}, {}, settings.language)
    if settings.based_on is not None:
        base = _read(_find(settings.based_on), [*seen, path])
        entries, parts = (
            {role: replace(entry, profile=path.stem) for role, entry in group.items()}
            for group in (base.entries, base.parts)
        )
        profile = replace(profile, entries=entries, parts=parts)
    for role in settings.roles:
        if role not in ROLES:
            near = difflib.get_close_matches(role, ROLES, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(ROLES)}."
            raise UserError(f"In {path}, '{role}' is not a role: {hint}")
    return replace(
        profile,
        entries=profile.entries | dict(_entries(path, settings.roles)),
        parts=profile.parts | dict(_entries(path, settings.parts)),
    )


def _entries(path: Path, group: dict[str, dict]) -> Iterator[tuple[str, Entry]]:
    for role, values in group.items():
        try:
            given = parse(EntrySettings, values).model_dump()
        except UserError as error:
            raise UserError(f"In {path}, {role}: {error}") from None
        if given["source"] == "npm" and not (given["sha256"] and len(given["allow_patterns"]) == 1):
            raise UserError(
                f"In {path}, {role}: an npm package needs sha256 and one allow_patterns."
            )
        given["allow_patterns"] = tuple(given["allow_patterns"])
        yield role, Entry(role=role, profile=path.stem, **given)


def _reachable(profile: Profile, name: str) -> set[str]:
    """Names that the components of `name` lead to, itself included."""
    found, waiting = set(), [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            entry = profile.entries.get(current) or profile.parts.get(current)
            waiting += entry.components.values() if entry else ()
    return found


def _hub_snapshot(entry: Entry) -> Path:
    """The snapshot folder of the pinned revision in the hub's cache."""
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE) / f"models--{entry.model.replace('/', '--')}"
    reference = repository / "refs" / entry.revision
    commit = reference.read_text().strip() if reference.is_file() else entry.revision
    return repository / "snapshots" / commit


def _rembg_files(name: str) -> list[Path]:
    """Where rembg keeps a model; as its `BaseSession` does, without its costly import."""
    data = os.environ.get("XDG_DATA_HOME")
    legacy = os.environ.get("U2NET_HOME") or os.path.join(data or "~", ".u2net")
    home = os.environ.get("U2NET_HOME") or os.environ.get("REMBG_HOME")
    home = home or (os.path.join(data, "rembg") if data else "~/.rembg")
    folders = (Path(home) / "models" / name, Path(legacy))
    return [(folder / f"{name}.onnx").expanduser() for folder in folders]

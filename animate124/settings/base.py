"""The machinery of typed settings: base class, reading, identity, and words for what is wrong.

In this order. The settings classes themselves stand in `animate124.settings`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from animate124.errors import UserError

Source = Path | Mapping[str, Any] | Sequence[str]
"""Where values come from: a YAML file, a mapping, or a list of "dotted.key=value"."""


class Settings(BaseModel):
    """Base of every settings class: frozen, no unknown keys, no NaN, every field described."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if _nested(field) is None and not (field.description and "unit" in _extra(field)):
                raise TypeError(f"{cls.__name__}.{name} has no description or unit: use setting()")

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        # YAML reads "yes" and "on" as true, which pydantic would take for 1.
        annotation = cls.model_fields[info.field_name].annotation
        if isinstance(value, bool) and bool not in (annotation, *typing.get_args(annotation)):
            raise ValueError("a switch is not a number")
        return value


def setting(
    default: Any, description: str, unit: str | None, *, cosmetic: bool = False, **limits: Any
) -> Any:
    """A field of a `Settings` class.

    `default` is its value when nothing is given (`...` for required), `unit` the unit in words
    ("steps", "world units", "degrees"; None for text and switches), `limits` are pydantic's (ge,
    gt, le, lt, min_length ...). `cosmetic` marks what cannot change a result (how often to log):
    `digest` leaves it out.
    """
    extra = {"unit": unit, "cosmetic": cosmetic}
    return Field(default, description=description, json_schema_extra=extra, **limits)


Model = TypeVar("Model", bound=Settings)


def parse(model: type[Model], *sources: Source) -> Model:
    """Settings from one or more sources; a later one overrides an earlier one, key by key.

    In a mapping or file nested models are nested mappings or dotted keys; in a list every item is
    "dotted.key=value", where the text is read as the field's type ("null" for an optional field,
    JSON or YAML brackets for lists). Raises UserError for a missing file, an unknown key (naming
    the nearest known one) and a bad value (naming what is allowed).
    """
    values: dict[str, Any] = {}
    for source in sources:
        for key, value, is_text in _read(source):
            _place(model, values, key, value, is_text)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(_sentence(model, error)) from None


def digest(settings: Settings) -> str:
    """Sixteen hexadecimal digits that change whenever a setting that affects results changes."""
    plain = json.dumps(_essential(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{type(settings).__name__}:{plain}".encode()).hexdigest()[:16]


def known_keys(model: type[Settings]) -> list[str]:
    """Every dotted key of a settings class, nested ones included, in declaration order."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        inner = _nested(field)
        keys += [name] if inner is None else [f"{name}.{key}" for key in known_keys(inner)]
    return keys


def describe(model: type[Settings], values: Settings | None = None) -> list[str]:
    """One line per dotted key: default, unit and meaning.

    values: the defaults that an outer class gives, if they are not the class's own.
    """
    lines: list[str] = []
    for name, field in model.model_fields.items():
        inner = _nested(field)
        default = field.get_default(call_default_factory=True)
        if values is not None:
            default = getattr(values, name)
        if inner is not None:
            own = default if isinstance(default, inner) else None
            lines += [f"{name}.{line}" for line in describe(inner, own)]
        else:
            lines.append(_line(name, field, default))
    return lines


def _line(name: str, field: FieldInfo, default: Any) -> str:
    value = "required" if default is PydanticUndefined else json.dumps(default)
    unit = _extra(field).get("unit")
    return f"{name}={value}{f' [{unit}]' if unit else ''}  {field.description}"


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _nested(field: FieldInfo) -> type[Settings] | None:
    """The settings class of a nested field, also when it is optional; else None."""
    for candidate in (field.annotation, *typing.get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Settings):
            return candidate
    return None


def _optional(field: FieldInfo) -> bool:
    union = typing.get_origin(field.annotation) in (typing.Union, types.UnionType)
    return union and type(None) in typing.get_args(field.annotation)


def _read(source: Source) -> list[tuple[str, Any, bool]]:
    """(dotted key, value, whether the value is text from a command line) for each entry."""
    if isinstance(source, Mapping):
        return [(str(key), value, False) for key, value in source.items()]
    if isinstance(source, Path):
        return [(key, value, False) for key, value in _read_yaml(source).items()]
    if isinstance(source, str):
        raise TypeError("settings come as a Path, a mapping or a list of 'key=value', not as str")
    entries = []
    for item in source:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise UserError(f"The setting {item!r} is not of the form key=value.")
        entries.append((key.strip(), value.strip(), True))
    return entries


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The settings file {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        what = " ".join(str(error).split())
        raise UserError(f"The settings file {path} is not valid YAML: {what}.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(
            f"The settings file {path} must hold 'key: value' lines, not a "
            f"{type(content).__name__}."
        )
    return {str(key): value for key, value in content.items()}


def _place(
    root: type[Settings], values: dict[str, Any], dotted: str, value: Any, is_text: bool
) -> None:
    """Put one dotted key into the nested mapping `values`, refusing keys that `root` lacks."""
    *groups, last = dotted.split(".")
    model, top = root, values
    for group in groups:
        field = model.model_fields.get(group)
        inner = _nested(field) if field is not None else None
        if inner is None:
            raise UserError(_unknown(root, dotted))
        model = inner
        if not isinstance(values.get(group), dict):
            values[group] = _defaults(field)
        values = values[group]
    field = model.model_fields.get(last)
    if field is None:
        raise UserError(_unknown(root, dotted))
    if isinstance(value, Mapping) and _nested(field) is not None:
        if not isinstance(values.get(last), dict):
            values[last] = _defaults(field)
        for key, part in value.items():
            _place(root, top, f"{dotted}.{key}", part, is_text)
        return
    values[last] = _from_text(field, dotted, value) if is_text else value


def _defaults(field: FieldInfo) -> dict[str, Any]:
    """What the outer class gives a nested one: those are not its own defaults."""
    default = field.get_default(call_default_factory=True)
    return default.model_dump() if isinstance(default, Settings) else {}


def _from_text(field: FieldInfo, key: str, text: str) -> Any:
    """Command-line text as a value: pydantic reads numbers and switches, YAML reads brackets."""
    if _optional(field) and text.lower() in ("null", "none"):
        return None
    if text[:1] in ("[", "{") and field.annotation is not str:
        import yaml

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(f"The setting '{key}' has unbalanced brackets: {text!r}.") from None
    return text


def _unknown(model: type[Settings], key: str) -> str:
    known = known_keys(model)
    # The last part is compared too, so that a field is found without the name of its group.
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6) or [
        name
        for name in known
        if difflib.get_close_matches(key.rpartition(".")[2], [name.rpartition(".")[2]], cutoff=0.6)
    ]
    hint = f"did you mean '{near[0]}'?" if near else "known are " + ", ".join(known) + "."
    return f"Unknown setting '{key}' for {model.__name__}: {hint}"


def _sentence(model: type[Settings], error: ValidationError) -> str:
    """pydantic's first complaint as one sentence with the value given and what is allowed."""
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    field = _field_at(model, path)
    key = ".".join(path)
    if first["type"] == "missing":
        what = f" ({field.description})" if field is not None and field.description else ""
        return f"The setting '{key}'{what} is missing."
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("model_type", "model_attributes_type"):
        known = ", ".join(name for name in known_keys(model) if name.startswith(f"{key}."))
        return f"The setting '{key}' cannot be {first['input']!r}: it is a group, of {known}."
    if field is None:
        return f"The settings of {'.'.join([model.__name__, *path])} do not fit together: {reason}."
    return (
        f"The setting '{key}' cannot be {first['input']!r}: it must be {allowed(field)}"
        f"{'' if _limits(field) else f' ({reason})'}."
    )


def _field_at(model: type[Settings], path: list[str]) -> FieldInfo | None:
    """The innermost field that a pydantic error path leads to; None for a whole model."""
    field: FieldInfo | None = None
    for part in path:
        if part not in model.model_fields:
            break
        field = model.model_fields[part]
        inner = _nested(field)
        if inner is None:
            return field
        model = inner
        field = None
    return field


_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_LENGTHS = {"min_length": "at least {} long", "max_length": "at most {} long"}


def _limits(field: FieldInfo) -> list[str]:
    found = []
    for constraint in field.metadata:
        for name, sign in _BOUNDS.items():
            if getattr(constraint, name, None) is not None:
                found.append(f"{sign} {getattr(constraint, name)}")
        for name, phrase in _LENGTHS.items():
            if getattr(constraint, name, None) is not None:
                found.append(phrase.format(getattr(constraint, name)))
        if getattr(constraint, "multiple_of", None) is not None:
            found.append(f"a multiple of {constraint.multiple_of}")
    return found


_TYPE_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    type(None): "null",
}


def _type_name(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return "one of " + ", ".join(str(argument) for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(argument) for argument in arguments)
    if origin is typing.Annotated:
        return _type_name(arguments[0])
    if origin in (tuple, list):
        inner = [_type_name(argument) for argument in arguments if argument is not Ellipsis]
        return f"a list of {' and '.join(dict.fromkeys(inner))}"
    return _TYPE_NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def allowed(field: FieldInfo) -> str:
    """What a field accepts, in words: type, limits, unit and default."""
    words = _type_name(field.annotation)
    if limits := _limits(field):
        words += " " + " and ".join(limits)
    notes = [_extra(field).get("unit")]
    if field.default is not PydanticUndefined and field.default is not None:
        notes.append(f"default {field.default}")
    notes = [note for note in notes if note]
    return f"{words} ({'; '.join(notes)})" if notes else words


def _essential(settings: Settings) -> dict[str, Any]:
    dumped = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if _extra(field).get("cosmetic"):
            del dumped[name]
        elif isinstance(value, Settings):
            dumped[name] = _essential(value)
    return dumped

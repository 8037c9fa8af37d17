"""What a stage's result depends on besides its inputs and settings: the code it runs, its models.

The code is that of the stage's module and of all modules of the package that it imports, directly
or not, within functions too. Comments, docstrings and layout do not count. A module that loads
models by role (`LOADERS`) counts only with what the stage's own roles need.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from animate124.priors.profiles import ROLES, load_profile
from animate124.priors.weights import identity
from animate124.scenes.chain import STAGES

PACKAGE = "animate124"
LOADERS = ("animate124.stages.models",)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


def code_digest(module: str, roles: Sequence[str], root: Path) -> str:
    """Twelve hexadecimal digits of the code that a module runs.

    module: dotted name. roles: of the models it loads. root: the folder that holds the package.
    """
    total = hashlib.sha256()
    for name, path in sorted(code_files(module, roles, root).items()):
        total.update(f"{name}\0{_parsed(name, path, roles).digest}\0".encode())
    return total.hexdigest()[:12]


def code_files(module: str, roles: Sequence[str], root: Path) -> dict[str, Path]:
    """Name to file of a module and of all that it imports within the package."""
    if _file(module, root) is None:
        raise FileNotFoundError(f"there is no module {module} in {root}")
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name, root)
        if name in found or path is None:
            continue  # known, or a name that a module defines
        found[name] = path
        waiting += _parsed(name, path, roles).imports
        if "." in name:
            waiting.append(name.rpartition(".")[0])  # importing a.b runs a too
    return found


@cache
def models_digest(stage: str, profile: str) -> str:
    """Twelve digits that change when a model that the stage may use changes.

    Roles that the profile lacks do not count. Raises UserError for an unknown profile.
    """
    found = load_profile(profile)
    roles = [role for role in STAGES[stage].roles if role in found.entries]
    needed = {entry.role: entry for role in roles for entry in found.needed(role)}
    text = "".join(_identity(profile, name) for name in sorted(needed))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@cache
def _identity(profile: str, name: str) -> str:
    return identity(load_profile(profile).entry(name))


def _file(module: str, root: Path) -> Path | None:
    path = root.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@dataclass(frozen=True)
class _Parsed:
    imports: tuple[str, ...]
    digest: str


def _parsed(name: str, path: Path, roles: Sequence[str]) -> _Parsed:
    stat = path.stat()
    unused = [role.replace("-", "_") for role in ROLES if role not in roles]
    return _parse(path, stat.st_mtime_ns, stat.st_size, tuple(unused) if name in LOADERS else ())


@cache
def _parse(path: Path, _changed: int, _size: int, unused: tuple[str, ...]) -> _Parsed:
    """Imports and code of a file, without functions named in `unused` and without docstrings."""
    tree = ast.parse(path.read_bytes(), str(path))
    imports: dict[str, None] = {}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _DEFINITIONS):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
            node.body = [part for part in node.body if getattr(part, "name", None) not in unused]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []  # it never runs
        elif isinstance(node, ast.Import):
            imports.update(dict.fromkeys(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports[node.module] = None
            imports.update(dict.fromkeys(f"{node.module}.{alias.name}" for alias in node.names))
        waiting += ast.iter_child_nodes(node)
    inside = [name for name in imports if name.split(".")[0] == PACKAGE]
    return _Parsed(tuple(inside), hashlib.sha256(ast.dump(tree).encode()).hexdigest())

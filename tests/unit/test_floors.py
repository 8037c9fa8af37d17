"""The package's architecture: rooms import from floors below, no cycles, small files."""

import ast
from pathlib import Path

import pytest

import animate124

PACKAGE = Path(animate124.__file__).parent
MAX_LINES = 400

# Room to floor; design, section 2. A module's room is its first path part within the package.
# `errors` and `runtime` lie under everything; several files may make one room (ROOMS).
FLOORS = {
    "errors": 0,
    "runtime": 0,
    "settings": 1,
    "geometry": 1,
    "media": 1,
    "kernels": 1,
    "fields": 2,
    "gaussians": 2,
    "toybox": 2,
    "metrics": 2,
    "priors": 2,
    "training": 2,
    "render": 3,
    "zoo": 3,
    "stages": 4,
    "scenes": 5,
    "report": 6,
    "cli": 7,
    "__main__": 8,
}
ROOMS = {
    "checkpoints": "training",
    "interrupts": "training",
    "processes": "training",
    "progress": "training",
}


def modules():
    """Dotted name (within the package) to path of every module."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room(module):
    first = module.split(".")[0]
    return ROOMS.get(first, first)


def imports(path, at_import_only=False):
    """Modules of the package that a file imports; `at_import_only`: outside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()

    def visit(node):
        if at_import_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return  # never run
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}".removeprefix("animate124.")
                found.add(f"animate124.{inner}" if inner in MODULES else node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    names = {name.removeprefix("animate124").removeprefix(".") for name in found if ours(name)}
    return {name for name in names if name in MODULES}


def ours(name):
    return name is not None and (name == "animate124" or name.startswith("animate124."))


@pytest.mark.parametrize("module", [m for m in MODULES if m])
def test_imports_only_from_lower_floors(module):
    mine = room(module)
    assert mine in FLOORS, f"{module} has no floor: add its room to the table, or move it"
    for imported in imports(MODULES[module]):
        if imported == "":  # the package itself: its version
            continue
        theirs = room(imported)
        assert theirs == mine or FLOORS[theirs] < FLOORS[mine], (
            f"{module} (floor {FLOORS[mine]}) imports {imported} (floor {FLOORS[theirs]})"
        )


def test_the_package_itself_imports_only_the_ground_floor():
    assert imports(MODULES[""]) == {"runtime"}


def test_no_import_cycles():
    graph = {m: imports(path, at_import_only=True) - {m} for m, path in MODULES.items() if m}
    done, path = set(), []

    def visit(module):
        if module in done or module == "":
            return
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        path.append(module)
        for imported in sorted(graph[module]):
            visit(imported)
        path.pop()
        done.add(module)

    for module in graph:
        visit(module)


def test_files_are_small():
    large = {m: n for m, p in MODULES.items() if (n := len(p.read_text().splitlines())) > MAX_LINES}
    assert not large


def test_the_import_reader_sees_every_form(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(
        "import animate124.errors\nfrom animate124 import runtime as r, __version__\n"
        "from animate124.settings.base import parse\nimport torch\n"
        "def f():\n    from animate124 import training\n"
    )
    assert imports(path) == {"errors", "runtime", "settings.base", "training", ""}
    assert imports(path, at_import_only=True) == {"errors", "runtime", "settings.base", ""}

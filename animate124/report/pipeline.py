"""The chain of stages as a drawing."""

from __future__ import annotations

from collections.abc import Mapping

from animate124.report.markup import text

# Column and row of each box; the stages of one column may run at the same time.
_PLACES = {
    "picture": (0, 1),
    "preprocess": (1, 1),
    "invert": (2, 0),
    "static": (2, 2),
    "dynamic": (3, 2),
    "refine": (4, 1),
    "render": (5, 0),
    "export": (5, 1),
    "evaluate": (5, 2),
}
_EDGES = (
    ("picture", "preprocess"),
    ("preprocess", "invert"),
    ("preprocess", "static"),
    ("static", "dynamic"),
    ("dynamic", "refine"),
    ("invert", "refine"),
    ("refine", "render"),
    ("refine", "export"),
    ("refine", "evaluate"),
)
_WIDTH, _HEIGHT, _ACROSS, _DOWN = 112, 44, 148, 64


def draw(seconds: Mapping[str, float]) -> str:
    """SVG of the chain from the picture to the results, with the seconds of each stage.

    seconds: mean over the scenes, by stage; a stage without one has none written below its name.
    """
    lines = "".join(_edge(*pair) for pair in _EDGES)
    boxes = "".join(_box(name, seconds.get(name)) for name in _PLACES)
    width, height = 5 * _ACROSS + _WIDTH + 2, 2 * _DOWN + _HEIGHT + 2
    return (
        f'<svg viewBox="-1 -1 {width} {height}" role="img" aria-labelledby="chain-title">'
        '<title id="chain-title">The stages from picture to video: preprocess; invert and static; '
        "dynamic; refine; then render, export and evaluate</title>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#404040"/></marker></defs>'
        f"{lines}{boxes}</svg>"
    )


def _corner(name: str) -> tuple[int, int]:
    column, row = _PLACES[name]
    return column * _ACROSS, row * _DOWN


def _edge(first: str, second: str) -> str:
    (x1, y1), (x2, y2) = _corner(first), _corner(second)
    x1, y1, y2 = x1 + _WIDTH, y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
    bend = x2 - (_ACROSS - _WIDTH) // 2
    path = f"M{x1} {y1}H{bend}V{y2}H{x2 - 1}"
    return f'<path d="{path}" fill="none" stroke="#404040" marker-end="url(#tip)"/>'


def _box(name: str, seconds: float | None) -> str:
    x, y = _corner(name)
    middle = x + _WIDTH // 2
    fill = "#f2f2f2" if name == "picture" else "#e3ecf7"
    label = y + (20 if seconds is not None else 27)
    found = (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{fill}" '
        f'stroke="#404040"/><text x="{middle}" y="{label}" text-anchor="middle" '
        f'font-size="14" fill="#1a1a1a">{text(name)}</text>'
    )
    if seconds is not None:
        found += (
            f'<text x="{middle}" y="{y + 36}" text-anchor="middle" font-size="12" '
            f'fill="#1a1a1a">{seconds:.0f} s</text>'
        )
    return found

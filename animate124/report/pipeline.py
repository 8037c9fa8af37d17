"""The chains of stages as drawings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from animate124.report.markup import text
from animate124.scenes.chain import ROUTES

# Column and row of each box; the stages of one column may run at the same time.
_PICTURE = {"picture": (0, 1), "preprocess": (1, 1), "invert": (2, 0), "static": (2, 2)}
_LINE = ("asset", "intake", "views", "generate", "reconstruct", "polish", "mesh")
_PLACES = {
    "animate124": {
        **_PICTURE,
        "dynamic": (3, 2),
        "refine": (4, 1),
        "render": (5, 0),
        "export": (5, 1),
        "evaluate": (5, 2),
    },
    "animate3d": {
        **{name: (column, 1) for column, name in enumerate(_LINE)},
        "render": (7, 0),
        "evaluate": (7, 2),
    },
}
_EDGES = {
    "animate124": (
        ("picture", "preprocess"),
        ("preprocess", "invert"),
        ("preprocess", "static"),
        ("static", "dynamic"),
        ("dynamic", "refine"),
        ("invert", "refine"),
        ("refine", "render"),
        ("refine", "export"),
        ("refine", "evaluate"),
    ),
    "animate3d": (*pairwise(_LINE), ("mesh", "render"), ("mesh", "evaluate")),
}
_TITLES = {
    "animate124": "The stages from picture to video: preprocess; invert and static; dynamic; "
    "refine; then render, export and evaluate",
    "animate3d": "The stages from asset to video: intake; views; generate; reconstruct; polish; "
    "mesh; then render and evaluate",
}
_WIDTH, _HEIGHT, _ACROSS, _DOWN = 112, 44, 148, 64


def routes(ways: Iterable[str]) -> list[str]:
    """The drawings that scenes on these of `scenes.chain.ROUTES` need, in order."""
    ways = set(ways)
    needs = {"animate124": {"animate124", "bridge"}, "animate3d": set(ROUTES) - {"animate124"}}
    return [name for name in _PLACES if needs[name] & ways]


def draw(route: str, seconds: Mapping[str, float]) -> str:
    """SVG of a route from what is given to the results, with the seconds of each stage.

    route: one of `routes`. seconds: mean over the scenes, by stage; a stage without one has none
    written below its name.
    """
    places = _PLACES[route]
    lines = "".join(_edge(places[one], places[other]) for one, other in _EDGES[route])
    boxes = "".join(_box(name, place, seconds.get(name)) for name, place in places.items())
    width = max(column for column, _ in places.values()) * _ACROSS + _WIDTH + 2
    height = 2 * _DOWN + _HEIGHT + 2
    return (
        f'<svg viewBox="-1 -1 {width} {height}" role="img" aria-labelledby="chain-{route}">'
        f'<title id="chain-{route}">{_TITLES[route]}</title>'
        f'<defs><marker id="tip-{route}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#404040"/></marker></defs>'
        f'<g marker-end="url(#tip-{route})">{lines}</g>{boxes}</svg>'
    )


def _edge(first: tuple[int, int], second: tuple[int, int]) -> str:
    (x1, y1), (x2, y2) = ((x * _ACROSS, y * _DOWN) for x, y in (first, second))
    x1, y1, y2 = x1 + _WIDTH, y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
    bend = x2 - (_ACROSS - _WIDTH) // 2
    path = f"M{x1} {y1}H{bend}V{y2}H{x2 - 1}"
    return f'<path d="{path}" fill="none" stroke="#404040"/>'


def _box(name: str, place: tuple[int, int], seconds: float | None) -> str:
    x, y = place[0] * _ACROSS, place[1] * _DOWN
    middle = x + _WIDTH // 2
    fill = "#f2f2f2" if name in ("picture", "asset") else "#e3ecf7"
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

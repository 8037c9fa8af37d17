"""Bits of HTML. Everything that comes from a file passes through `text`, nothing else does."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

NONE = '<td class="none"><span aria-label="none">–</span></td>'


def text(value: object) -> str:
    """Plain text as HTML."""
    return escape(str(value), quote=True)


def data_url(path: Path, kind: str) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def number(value: Any, digits: int) -> str:
    """A cell with a number, or with a dash."""
    if not isinstance(value, (int, float)):
        return NONE
    return f'<td class="number">{value:.{digits}f}</td>'


def table(caption: str, head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table that scrolls by itself where it is too wide.

    head: texts, the first above the row names. rows: the HTML of a row's name, and its cells.
    """
    cells = "".join(f'<th scope="col">{text(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(values)}</tr>' for name, values in rows
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{text(caption)}"><table>'
        f"<caption>{text(caption)}</caption><thead><tr>{cells}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def badge(verdict: str) -> str:
    """A verdict, in a colour that does not carry the meaning alone."""
    return f'<span class="badge {text(verdict)}">{text(verdict)}</span>'


def image(path: Path, description: str) -> str:
    """A picture that is described, at its own size where there is room."""
    return f'<img src="{data_url(path, "image/png")}" alt="{text(description)}" loading="lazy">'

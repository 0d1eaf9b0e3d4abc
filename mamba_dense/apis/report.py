"""A report of one training as a single HTML file: pictures and curves inside, nothing loaded."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .images import encode_png

_STYLE = """
:root { --ink: #1d2327; --soft: #5b6770; --line: #d9dee3; --paper: #fff; --card: #f5f7f9;
  --a: #0b6bcb; --b: #d9480f; --c: #2b8a3e; --d: #8a3ffc; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecef; --soft: #9aa7b1; --line: #353d44;
  --paper: #14181b; --card: #1e2428; --a: #5ab0ff; --b: #ff9a66; --c: #6bd17f; --d: #be95ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 28px 20px 60px; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 4px; font-size: 28px; } h2 { margin: 40px 0 8px; font-size: 20px; }
p { margin: 6px 0 14px; max-width: 75ch; } .soft { color: var(--soft); }
.cards, .pictures { display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); }
.pictures { grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); align-items: start; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 16px; }
.card b { display: block; font-size: 27px; line-height: 1.3; }
.card span { color: var(--soft); font-size: 14px; }
figure { margin: 0; } figure img, figure svg { width: 100%; height: auto; display: block;
  border: 1px solid var(--line); border-radius: 8px; }
figcaption { overflow-wrap: anywhere; font-size: 14px; color: var(--soft); margin-top: 4px; }
.curves { display: grid; gap: 18px; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)); }
table { border-collapse: collapse; width: 100%; font-size: 15px; }
td, th { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; } td:first-child, th:first-child { width: 45%; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px;
  overflow-x: auto; font-size: 13px; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
"""
# the page's light colours, for drawings outside of it
_INKS = {
    'ink': '#1d2327',
    'soft': '#5b6770',
    'line': '#d9dee3',
    'paper': '#fff',
    'a': '#0b6bcb',
    'b': '#d9480f',
    'c': '#2b8a3e',
    'd': '#8a3ffc',
}
_HEADING = 22
_COLOURS = ('var(--a)', 'var(--b)', 'var(--c)', 'var(--d)')
_WIDTH, _HEIGHT = 480, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 26, 34


@dataclass(frozen=True)
class Line:
    """A curve: its name and its points (x, y), x rising."""

    name: str
    points: Sequence[tuple[float, float]]


def escape(text: object) -> str:
    """Text as HTML."""
    return html.escape(str(text))


def cards(figures: Sequence[tuple[str, str]]) -> str:
    """Key figures, (value, what it is), side by side."""
    inner = ''.join(
        f'<div class="card"><b>{escape(v)}</b><span>{escape(n)}</span></div>' for v, n in figures
    )
    return f'<div class="cards">{inner}</div>'


def picture(image: np.ndarray, caption: str) -> str:
    """A picture, (H, W, 3) or (H, W) uint8, inside the page."""
    data = base64.b64encode(encode_png(image)).decode()
    alt = escape(caption)
    return (
        f'<figure><img alt="{alt}" src="data:image/png;base64,{data}">'
        f'<figcaption>{alt}</figcaption></figure>'
    )


def pictures(items: Sequence[tuple[np.ndarray, str]]) -> str:
    """Pictures with their captions, side by side."""
    return f'<div class="pictures">{"".join(picture(image, text) for image, text in items)}</div>'


def table(rows: Sequence[Sequence[object]], heads: Sequence[str] = ()) -> str:
    """A table of text, with or without headings."""
    lines = [''.join(f'<th>{escape(text)}</th>' for text in heads)] if heads else []
    lines += [''.join(f'<td>{escape(cell)}</td>' for cell in row) for row in rows]
    return f'<table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table>'


def ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers from `low` to `high`.

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = high - low if high > low else 1.0
    power = 10.0 ** np.floor(np.log10(span / 4))
    step = next(power * k for k in (1, 2, 5, 10) if span / (power * k) <= 8)
    first = np.ceil(low / step - 1e-9)
    count = int(np.floor((high - first * step) / step + 1e-9)) + 1
    return [round(float((first + i) * step), 10) for i in range(max(count, 1))]


def figure(drawing: str, caption: str) -> str:
    """A drawing (SVG) with its caption inside the page."""
    return f'<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>'


def curves(title: str, lines: Sequence[Line], x_name: str, y_from: float | None = None) -> str:
    """Curves over a common axis with their title, inside the page; see `chart`."""
    return figure(chart(title, lines, x_name, y_from), title)


def chart(title: str, lines: Sequence[Line], x_name: str, y_from: float | None = None) -> str:
    """Curves over a common axis, as a drawing.

    Args:
        title: what errors call the drawing.
        lines: one to four curves; one without points is left out.
        x_name: what the horizontal axis counts.
        y_from: least value of the vertical axis; None takes it from the points.

    Raises:
        ValueError: no curve has points, or there are more curves than colours.
    """
    lines = [line for line in lines if line.points]
    if not 1 <= len(lines) <= len(_COLOURS):
        raise ValueError(f'{title}: {len(lines)} curves with points; 1 to {len(_COLOURS)} fit.')
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x0, x1 = min(0.0, *xs), max(xs)
    low, high = (min(ys) if y_from is None else y_from), max(ys)
    pad = 0.05 * (high - low or 1.0)
    y0, y1 = (low - pad if y_from is None else low), high + pad

    def across(x: float) -> float:
        return _LEFT + (x - x0) / (x1 - x0 or 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def down(y: float) -> float:
        return _HEIGHT - _BOTTOM - (y - y0) / (y1 - y0 or 1.0) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_grid(x0, x1, y0, y1, across, down, x_name)]
    apart = min(150, (_WIDTH - _LEFT - _RIGHT) // len(lines))
    for i, (line, colour) in enumerate(zip(lines, _COLOURS)):
        path = ' '.join(f'{across(x):.1f},{down(y):.1f}' for x, y in line.points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{_LEFT + 6 + apart * i}" y="16" style="fill:{colour}">'
            f'{escape(line.name)}</text>'
        )
    return svg(_WIDTH, _HEIGHT, ''.join(parts))


def svg(width: float, height: float, inner: str) -> str:
    """A drawing of this size from its parts."""
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img">{inner}</svg>'


def standalone(drawing: str, title: str) -> str:
    """A drawing as a file of its own: a heading, a light background, no style from elsewhere."""
    _, _, width, height = (float(side) for side in drawing.split('"', 2)[1].split())
    width = max(width, 8.0 * len(title))
    inner = drawing.split('>', 1)[1].removesuffix('</svg>')
    for name, colour in _INKS.items():
        inner = inner.replace(f'var(--{name})', colour)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{1.5 * width:g}" '
        f'height="{1.5 * (height + _HEADING):g}" viewBox="0 {-_HEADING} {width:g} '
        f'{height + _HEADING:g}" font-family="sans-serif" font-size="12">'
        f'<rect y="{-_HEADING}" width="100%" height="100%" fill="#fff"/>'
        f'<text x="8" y="-6" font-size="13" font-weight="bold">{escape(title)}</text>'
        f'{inner}</svg>\n'
    )


def _grid(x0, x1, y0, y1, across, down, x_name: str) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for y in ticks(y0, y1):
        parts.append(
            f'<line x1="{_LEFT}" x2="{right}" y1="{down(y):.1f}" y2="{down(y):.1f}" '
            f'stroke="var(--line)"/><text x="{_LEFT - 6}" y="{down(y) + 4:.1f}" '
            f'text-anchor="end">{y:g}</text>'
        )
    for x in ticks(x0, x1):
        parts.append(
            f'<text x="{across(x):.1f}" y="{bottom + 16}" text-anchor="middle">{x:g}</text>'
        )
    parts.append(
        f'<line x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="var(--soft)"/>'
        f'<text x="{right}" y="{_HEIGHT - 4}" text-anchor="end">{escape(x_name)}</text>'
    )
    return ''.join(parts)


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """The whole file: title, a sentence or two, and sections (heading, HTML)."""
    body = ''.join(f'<h2>{escape(heading)}</h2>{inner}' for heading, inner in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><style>{_STYLE}</style></head><body>'
        f'<h1>{escape(title)}</h1><p class="soft">{escape(lead)}</p>{body}</body></html>\n'
    )

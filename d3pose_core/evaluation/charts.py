"""Pictures of an evaluation as inline SVG; colours of text and grid come from viewer/style.css."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 1100, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34
_MOST_POINTS = 1200  # a line of more can't be told from one of these


@dataclass(frozen=True)
class Line:
    """One curve; nan interrupts it."""

    x: np.ndarray
    y: np.ndarray
    color: str
    dashed: bool = False


def line_chart(
    lines: Sequence[Line],
    x_range: tuple[float, float],
    strips: Sequence[tuple[float, float, str]] = (),
    marks: Sequence[tuple[float, str]] = (),
    unit: str = "s",
    bottom: float = 0.0,
) -> str:
    """Curves over time, from `bottom` up.

    `strips`: (from, to, colour) along the bottom. `marks`: (time, what happened) as vertical lines. All
    times are in `unit`.
    """
    finite = [line.y[np.isfinite(line.y)] for line in lines]
    highest = max((float(values.max()) for values in finite if len(values)), default=1.0)
    highest += 0.05 * max(highest - bottom, 1e-9)
    y_ticks = _ticks(bottom, highest)
    top = max(y_ticks[-1], highest)
    start, end = x_range
    span = max(end - start, 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return LEFT + inner_width * (x - start) / span, TOP + inner_height * (
            1 - (y - bottom) / (top - bottom)
        )

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" class="chart" data-start="{start:.6f}"']
    parts.append(f' data-end="{end:.6f}" data-left="{LEFT}" data-right="{WIDTH - RIGHT}">')
    for tick in y_ticks:
        _, y = place(start, tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in _ticks(start, end):
        x, _ = place(tick, bottom)
        anchor = "middle" if x < WIDTH - 2 * RIGHT else "end"  # within the picture
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="{anchor}">{tick:g} {unit}</text>'
        )
    base = HEIGHT - BOTTOM
    for begin, finish, color in strips:
        x, width = (
            place(begin, bottom)[0],
            max(1.5, place(finish, bottom)[0] - place(begin, bottom)[0]),
        )
        parts.append(
            f'<rect x="{x:.1f}" y="{base}" width="{width:.1f}" height="6" fill="{color}"/>'
        )
    for time, what in marks:
        x, _ = place(time, bottom)
        parts.append(
            f'<path d="M{x:.1f} {TOP}V{base}" stroke="var(--bad)" stroke-dasharray="3 3">'
            f"<title>{escape(what)}</title></path>"
        )
    for line in lines:
        dash = ' stroke-dasharray="2 3"' if line.dashed else ""
        parts.append(
            f'<path d="{_path(line, place)}" fill="none" stroke="{line.color}" '
            f'stroke-width="{1.4 if line.dashed else 2}" stroke-linejoin="round"{dash}/>'
        )
    parts.append(f'<path class="cursor" d="M0 {TOP}V{base}" style="display:none"/></svg>')
    return "".join(parts)


def bar_chart(
    names: Sequence[str], values: Sequence[Sequence[float]], colors: Sequence[str]
) -> str:
    """Horizontal bars, one row a name; each row has one bar for each colour, the later ones in front."""
    row, left, right, width = 21, 120, 52, 540
    highest = max((value for pair in values for value in pair), default=1.0) or 1.0
    height = row * len(names) + 4
    parts = [f'<svg viewBox="0 0 {width} {height}">']
    for index, (name, pair) in enumerate(zip(names, values, strict=True)):
        y = row * index
        parts.append(
            f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name.replace("_", " "))}</text>'
        )
        for level, (value, color) in enumerate(zip(pair, colors, strict=True)):
            length = (width - left - right) * value / highest
            inset = 3 * level
            parts.append(
                f'<rect x="{left}" y="{y + 3 + inset}" width="{length:.1f}" height="{15 - 2 * inset}" '
                f'rx="2" fill="{color}"/>'
            )
        end = left + (width - left - right) * max(pair) / highest
        parts.append(f'<text x="{end + 6:.1f}" y="{y + 15}">{pair[0]:.0f}</text>')
    return "".join([*parts, "</svg>"])


def reliability_chart(said: Sequence[float], found: Sequence[float], count: Sequence[float]) -> str:
    """What was found (upwards) over what was said, both 0..1; the diagonal is an honest confidence.

    `count` cases a point: its dot's area, and the bars along the bottom.
    """
    size, left, top, bottom = 330, 66, 10, 44
    width, height = left + size + 130, top + size + bottom
    base, total = top + size, max(sum(count), 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + size * x, base - size * y

    parts = [f'<svg viewBox="0 0 {width} {height}" class="square">']
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        x, y = place(tick, tick)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}h{size}M{x:.1f} {top}v{size}"/>')
        parts.append(
            f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{100 * tick:.0f} %</text>'
        )
        parts.append(
            f'<text x="{x:.1f}" y="{base + 18}" text-anchor="middle">{100 * tick:.0f} %</text>'
        )
    for at, cases in zip(said, count, strict=True):
        x, y = place(at, 0.3 * cases / max(count))
        parts.append(
            f'<rect x="{x - 9:.1f}" y="{y:.1f}" width="18" height="{base - y:.1f}" class="share"/>'
        )
    (x0, y0), (x1, y1) = place(0, 0), place(1, 1)
    parts.append(f'<path class="ideal" d="M{x0} {y0}L{x1} {y1}"/>')
    points = [place(x, y) for x, y in zip(said, found, strict=True)]
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    parts.append(f'<path d="M{line}" fill="none" stroke="var(--accent)" stroke-width="2"/>')
    for (x, y), at, was, cases in zip(points, said, found, count, strict=True):
        share = cases / total
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3 + 7 * math.sqrt(share):.1f}" '
            f'fill="var(--accent)"><title>said {100 * at:.0f} %, found {100 * was:.0f} %, '
            f"{cases:.0f} joints ({100 * share:.0f} %)</title></circle>"
        )
    middle = left + size / 2
    parts.append(f'<text x="{middle}" y="{base + 38}" text-anchor="middle">confidence said</text>')
    parts.append(
        f'<text transform="translate(12 {top + size / 2}) rotate(-90)" text-anchor="middle">'
        "share found to be right</text>"
    )
    parts.append(f'<text x="{x1 + 8}" y="{y1 + 14}">as said</text>')
    parts.append(f'<text x="{left + size + 8}" y="{base - 4}">how often</text></svg>')
    return "".join(parts)


def pose_picture(
    poses: Sequence[tuple[np.ndarray, str]], bones: Sequence[tuple[int, int]], up: np.ndarray
) -> str:
    """Skeletons about their common root, from the front and from the right side.

    Args:
        poses: joints [J, 3] m about the root, and a colour; the first is drawn first.
        up: [3] unit vector.
    """
    across = np.array([1.0, 0.0, 0.0])
    away = np.cross(across, up)
    half, size = 0.95, 150
    parts = [f'<svg viewBox="0 0 {2 * size} {size + 18}">']
    for panel, (axis, caption) in enumerate(((across, "front"), (-away, "side"))):
        centre = size * (panel + 0.5)
        parts.append(f'<text x="{centre}" y="{size + 14}" text-anchor="middle">{caption}</text>')
        for joints, color in poses:
            x = centre + joints @ axis * size / (2 * half)
            y = size * 0.47 - joints @ up * size / (2 * half)
            lines = "".join(f"M{x[a]:.1f} {y[a]:.1f}L{x[b]:.1f} {y[b]:.1f}" for a, b in bones)
            parts.append(
                f'<path d="{lines}" fill="none" stroke="{color}" stroke-width="3" '
                'stroke-linecap="round"/>'
            )
    return "".join([*parts, "</svg>"])


def _path(line: Line, place) -> str:
    x, y = line.x, line.y
    if len(x) > _MOST_POINTS:
        # Of each stretch the highest value is kept: peaks are what one looks for.
        groups = np.array_split(np.arange(len(x)), _MOST_POINTS)
        kept = [g[np.nanargmax(y[g])] if np.isfinite(y[g]).any() else g[0] for g in groups]
        x, y = x[kept], y[kept]
    drawn, commands = False, []
    for time, value in zip(x.tolist(), y.tolist(), strict=True):
        if not math.isfinite(value):
            drawn = False
            continue
        px, py = place(time, value)
        commands.append(f"{'L' if drawn else 'M'}{px:.1f} {py:.1f}")
        if not drawn:
            commands.append("h.01")  # a single frame shows as a dot
        drawn = True
    return "".join(commands)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, at most ten steps."""
    span = max(high - low, 1e-9)
    magnitude = 10.0 ** math.floor(math.log10(span))
    steps = (magnitude * f for f in (0.1, 0.2, 0.5, 1.0, 2.0))
    step = next(s for s in steps if span / s <= 10)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 9) for i in range(first, math.floor(high / step + 1e-9) + 1)]

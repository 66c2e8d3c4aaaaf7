"""The run as a picture: faults as bands over committed writes per second and their latency."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from redrepl_cli.chaos.figures import NANOS, ActFigures, Load, percentile
from redrepl_cli.chaos.report import Report
from redrepl_cli.svg import MARGIN, Page, safe

WIDTH = 1180
LEFT: Final = 84
"""Where the time axis begins; the scales stand left of it."""

RIGHT: Final = WIDTH - MARGIN
RATE_HEIGHT = 70
LATENCY_HEIGHT = 60
GAP = 8
TEXT_COLUMNS = 165
ROW_SECONDS = 45.0
"""So much of the run in one row: a fault's name and figures then fit over its band."""

BIN_SECONDS = 0.25
SHOWN_PAUSE_SECONDS = 0.25
"""Shorter times without a committed write are not marked."""

LOWEST_MILLIS, HIGHEST_MILLIS = 0.1, 10_000.0
"""The scale of latencies, which is logarithmic."""

CAPTION = (
    "Upper curve: committed writes per second of all clients. Lower curves: milliseconds that a "
    "committed write took, "
    "median and 99th percentile, on a logarithmic scale. Orange: the fault lasts. Yellow: healed, "
    "but not all copies "
    "serve yet. Grey: clients wait while all copies are compared. Red: no write was committed for "
    f"{SHOWN_PAUSE_SECONDS} s or more."
)

STYLE = """
  .harm { fill: #fb8f44; fill-opacity: 0.22; }
  .healing { fill: #eac54f; fill-opacity: 0.35; }
  .quiet { fill: #8c959f; fill-opacity: 0.22; }
  .rate { fill: #4493f8; fill-opacity: 0.75; }
  .median { fill: none; stroke: #1a7f37; stroke-width: 1.5; }
  .slowest { fill: none; stroke: #8250df; stroke-width: 1.2; }
  .none { fill: #cf222e; }
  .bad { fill: #cf222e; font-weight: 600; }
  .axis { stroke: #8c959f; stroke-width: 1; }
  .grid { stroke: #8c959f; stroke-width: 0.5; stroke-opacity: 0.5; stroke-dasharray: 2 4; }
  .small { font-size: 11px; }
"""
DARK_STYLE = """
    .median { stroke: #3fb950; }
    .slowest { stroke: #bc8cff; }
    .none, .bad { fill: #ff7b72; }
"""


class _Row(NamedTuple):
    """Some acts in one row of the picture, and how its times become places."""

    figures: Sequence[ActFigures]
    from_ns: int
    to_ns: int

    def x(self, at_ns: float) -> float:
        share = (at_ns - self.from_ns) / max(1.0, ROW_SECONDS * NANOS, self.to_ns - self.from_ns)
        return LEFT + share * (RIGHT - LEFT)

    @property
    def right(self) -> float:
        return self.x(self.to_ns)


def picture(report: Report) -> str:
    """The SVG document."""
    page = Page(WIDTH, TEXT_COLUMNS)
    page.y += 8
    page.text(MARGIN, report.headline, "title")
    page.y += 22
    page.text(MARGIN, report.summary, "soft" if report.passed else "bad")
    page.y += 8
    top_rate = _top_rate(report)
    for row in _rows(report.figures):
        _draw_row(page, row, report.load, top_rate, report.figures[0].act.started_ns)
    page.y += 24
    page.paragraph(CAPTION)
    for text in (*report.complaints(), *report.notes()):
        page.paragraph(text)
    return page.document(report.headline, STYLE, DARK_STYLE)


def _rows(figures: Sequence[ActFigures]) -> Iterator[_Row]:
    """As many acts in a row as fit."""
    start = 0
    for number in range(1, len(figures) + 1):
        is_last = number == len(figures)
        from_ns = figures[start].act.started_ns
        if is_last or figures[number].act.ended_ns - from_ns > ROW_SECONDS * NANOS:
            yield _Row(figures[start:number], from_ns, figures[number - 1].act.ended_ns)
            start = number


def _draw_row(page: Page, row: _Row, load: Load, top_rate: float, run_started_ns: int) -> None:
    page.y += 34
    for figures in row.figures:
        _draw_labels(page, row, figures)
    page.y += 42
    rate_top, latency_top = page.y, page.y + RATE_HEIGHT + GAP
    bottom = latency_top + LATENCY_HEIGHT
    for figures in row.figures:
        page.elements += _bands(row, figures, rate_top, bottom)
    bins = list(_bins(row, load))
    page.elements += _rate_curve(row, bins, rate_top, top_rate)
    for figures in row.figures:
        page.elements += _pauses(row, figures, load, rate_top + RATE_HEIGHT)
    page.elements += _latency_curves(row, bins, latency_top)
    _draw_scales(page, row, rate_top, latency_top, top_rate)
    page.y = bottom
    _draw_times(page, row, run_started_ns)
    page.y += 16


def _draw_labels(page: Page, row: _Row, figures: ActFigures) -> None:
    act, x = figures.act, row.x(figures.act.began_ns)
    page.text(x, f"{act.name} ({act.node})" if act.node else act.name, "group")
    pause = figures.without_writes.seconds
    shown = f"no write for {pause:.2f} s" if pause >= SHOWN_PAUSE_SECONDS else "writes go on"
    page.text(x, shown, "small soft", dy=15)
    if act.problems:
        page.text(x, f"{len(act.problems)} findings", "small bad", dy=29)
    elif act.primaries[0] != act.primaries[1]:
        page.text(x, f"primary {act.primaries[0]} to {act.primaries[1]}", "small soft", dy=29)


def _bands(row: _Row, figures: ActFigures, top: float, bottom: float) -> Iterator[str]:
    act = figures.act
    yield _rectangle(row, "harm", act.began_ns, act.healed_ns, top, bottom)
    if act.back_ns is not None:
        yield _rectangle(row, "healing", act.healed_ns, act.back_ns, top, bottom)
    if act.paused_ns is not None:
        yield _rectangle(row, "quiet", act.paused_ns, act.ended_ns, top, bottom)


def _pauses(row: _Row, figures: ActFigures, load: Load, y: float) -> Iterator[str]:
    act = figures.act
    for pause in load.pauses(act.began_ns, act.paused_ns or act.ended_ns):
        if pause.seconds < SHOWN_PAUSE_SECONDS:
            return
        yield _rectangle(row, "none", pause.from_ns, pause.to_ns, y - 5, y)


def _rectangle(row: _Row, style: str, from_ns: int, to_ns: int, top: float, bottom: float) -> str:
    x, width = row.x(from_ns), max(0.5, row.x(to_ns) - row.x(from_ns))
    return (
        f'<rect class="{style}" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{bottom - top:.1f}"/>'
    )


class _Bin(NamedTuple):
    """Committed writes of a short time; latencies in order."""

    from_ns: int
    millis: list[float]


def _bins(row: _Row, load: Load) -> Iterator[_Bin]:
    step = int(BIN_SECONDS * NANOS)
    for from_ns in range(row.from_ns, row.to_ns, step):
        found = load.committed_between(from_ns, min(from_ns + step, row.to_ns))
        yield _Bin(from_ns, sorted(((each.returned or 0) - each.invoked) / 1e6 for each in found))


def _top_rate(report: Report) -> float:
    """A round number above the highest rate."""
    highest = max(
        (len(b.millis) for row in _rows(report.figures) for b in _bins(row, report.load)), default=1
    )
    rate = max(1.0, highest / BIN_SECONDS)
    step = 10.0 ** math.floor(math.log10(rate)) / 2
    return math.ceil(rate / step) * step


def _rate_curve(row: _Row, bins: Sequence[_Bin], top: float, top_rate: float) -> list[str]:
    bottom, places = top + RATE_HEIGHT, []
    for each in bins:
        y = bottom - len(each.millis) / BIN_SECONDS / top_rate * RATE_HEIGHT
        ends = (each.from_ns, min(each.from_ns + BIN_SECONDS * NANOS, row.to_ns))
        places += [f"{row.x(at_ns):.1f},{y:.1f}" for at_ns in ends]
    points = f"{LEFT},{bottom:.1f} {' '.join(places)} {row.right:.1f},{bottom:.1f}"
    return [f'<polygon class="rate" points="{points}"/>']


def _latency_curves(row: _Row, bins: Sequence[_Bin], top: float) -> Iterator[str]:
    for style, share in (("median", 0.5), ("slowest", 0.99)):
        places: list[str] = []
        for each in (*bins, _Bin(row.to_ns, [])):
            if each.millis:
                x = row.x(min(each.from_ns + BIN_SECONDS * NANOS / 2, row.to_ns))
                places.append(f"{x:.1f},{_latency_y(percentile(each.millis, share), top):.1f}")
            elif places:
                # A single place has no line; twice the same with round ends is a dot.
                ends = places if len(places) > 1 else places * 2
                yield (
                    f'<polyline class="{style}" stroke-linecap="round" points="{" ".join(ends)}"/>'
                )
                places = []


def _latency_y(millis: float, top: float) -> float:
    share = math.log(min(max(millis, LOWEST_MILLIS), HIGHEST_MILLIS) / LOWEST_MILLIS)
    return top + LATENCY_HEIGHT * (1 - share / math.log(HIGHEST_MILLIS / LOWEST_MILLIS))


def _draw_scales(
    page: Page, row: _Row, rate_top: float, latency_top: float, top_rate: float
) -> None:
    marks = [
        (rate_top + RATE_HEIGHT * (1 - share), f"{top_rate * share:,.0f}")
        for share in (0.0, 0.5, 1.0)
    ]
    marks += [
        (_latency_y(millis, latency_top), f"{millis:g}") for millis in (1.0, 10.0, 100.0, 1000.0)
    ]
    for y, text in marks:
        page.elements.append(
            f'<line class="grid" x1="{LEFT}" x2="{row.right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        page.elements.append(
            f'<text class="small soft" x="{LEFT - 6}" y="{y + 4:.1f}" '
            f'text-anchor="end">{safe(text)}</text>'
        )
    for top, height, text in (
        (rate_top, RATE_HEIGHT, "writes/s"),
        (latency_top, LATENCY_HEIGHT, "ms"),
    ):
        middle = top + height / 2
        page.elements.append(
            f'<text class="small soft" transform="translate({MARGIN},{middle:.1f}) rotate(-90)" '
            f'text-anchor="middle">{text}</text>'
        )


def _draw_times(page: Page, row: _Row, run_started_ns: int) -> None:
    page.elements.append(
        f'<line class="axis" x1="{LEFT}" x2="{row.right:.1f}" y1="{page.y:.1f}" y2="{page.y:.1f}"/>'
    )
    first = math.ceil((row.from_ns - run_started_ns) / NANOS / 5) * 5
    last = int((row.to_ns - run_started_ns) / NANOS)
    for second in range(first, last + 1, 5):
        page.text(
            row.x(run_started_ns + second * NANOS), f"{second} s", "small soft", "middle", dy=14
        )

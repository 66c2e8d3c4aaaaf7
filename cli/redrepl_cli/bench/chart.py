"""The ratios as a bar chart: one SVG file that needs nothing else, readable on light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from redrepl_cli.bench.figures import Ratio, Result
from redrepl_cli.bench.outages import OutageGroup, OutageResult
from redrepl_cli.bench.report import Report
from redrepl_cli.bench.subjects import Group
from redrepl_cli.bench.table import better, memory_line, outage_text, ratio_text
from redrepl_cli.svg import MARGIN, Page, safe

WIDTH = 900
LABELS = 400
"""Where labels end and bars begin; the longest label has some 52 characters of 7 pixels."""

BARS = 340
"""Width of the longest bar with its spread."""

ROW = 24
BAR = 12
TEXT_COLUMNS = 125
"""Characters of the small text in a line."""

TITLE = "What redrepl costs: ratios measured side by side"
OUTAGE_TITLE = "How long writes stop when the primary goes"

OUTAGE_CAPTION = (
    "Bars: seconds from the signal to the end of the first write that began after it and was "
    "acknowledged; the median. "
    "Lines, and brackets: from the shortest to the longest."
)

CAPTION = (
    "Bars: the ratio of a call to the one named after the stroke, taken in each round; the "
    "median. Lines, and "
    "brackets: the middle half of the rounds. Dashed: a ratio of 1."
)

_STYLE = """
  .bar { fill: #4493f8; }
  .spread { stroke: #1f2328; stroke-width: 1.5; }
  .one { stroke: #59636e; stroke-width: 1; stroke-dasharray: 3 3; }
"""
_DARK_STYLE = """
    .bar { fill: #1f6feb; }
    .spread { stroke: #e6edf3; }
    .one { stroke: #9198a1; }
"""


class _Bar(NamedTuple):
    """A bar to ``value`` with a line from ``low`` to ``high``; ``remark`` follows its name in a
    softer colour.
    """

    name: str
    remark: str
    value: float
    low: float
    high: float
    text: str

    @property
    def longest(self) -> float:
        """How far it reaches with its line."""
        return max(self.value, self.high)


def chart(report: Report) -> str:
    """The SVG document."""
    page = Page(WIDTH, TEXT_COLUMNS)
    page.y += 8
    page.text(MARGIN, OUTAGE_TITLE if report.found.outages else TITLE, "title")
    page.y += 22
    for line in (report.headline, report.circumstances):
        page.paragraph(line)
    for group, results in report.results_by_group():
        _draw_group(page, group, results)
    longest = max((result.seconds.highest for result in report.found.outages), default=1.0)
    for fault, outages in report.outages_by_group():
        _draw_outages(page, fault, outages, longest)
    page.y += 24
    if report.found.memory:
        page.paragraph(f"Memory of the process: {memory_line(report.found.memory)}.")
    for reason, names in report.reasons().items():
        page.paragraph(f"Not measured, because {reason}: {', '.join(names)}.")
    for text in (OUTAGE_CAPTION if report.found.outages else CAPTION, *report.notes):
        page.paragraph(text)
    return page.document(report.headline, _STYLE, _DARK_STYLE)


def _draw_group(page: Page, group: Group, results: list[Result]) -> None:
    bars = [_bar(result.name, ratio) for result in results for ratio in result.ratios]
    if not bars:
        return
    longest = max(1.0, *(bar.longest for bar in bars))
    _draw_heading(page, group.title, better(group))
    one = LABELS + BARS / longest
    page.elements.append(
        f'<line class="one" x1="{one:g}" x2="{one:g}" y1="{page.y:g}" '
        f'y2="{page.y + ROW * len(bars):g}"/>'
    )
    _draw_bars(page, bars, longest)


def _draw_outages(
    page: Page, group: OutageGroup, results: list[OutageResult], longest: float
) -> None:
    """``longest``: of all faults, so that a second has the same length everywhere."""
    bars = []
    for result in results:
        found = result.seconds
        bars.append(
            _Bar(result.name, "", found.median, found.lowest, found.highest, outage_text(found))
        )
    _draw_heading(page, group.title, "seconds, less is better")
    _draw_bars(page, bars, longest)


def _bar(name: str, ratio: Ratio) -> _Bar:
    found = ratio.spread
    return _Bar(
        name,
        f" / {ratio.baseline}",
        found.median,
        found.first_quartile,
        found.third_quartile,
        ratio_text(found),
    )


def _draw_heading(page: Page, title: str, how_to_read: str) -> None:
    page.y += 32
    page.text(MARGIN, title, "group")
    page.text(WIDTH - MARGIN, how_to_read, "soft", "end")
    page.y += 8


def _draw_bars(page: Page, bars: Sequence[_Bar], longest: float) -> None:
    for bar in bars:
        _draw_bar(page, bar, BARS / longest)


def _draw_bar(page: Page, bar: _Bar, scale: float) -> None:
    middle = page.y + ROW / 2
    end, low, high = (LABELS + number * scale for number in (bar.value, bar.low, bar.high))
    page.elements += [
        f'<text x="{LABELS - 10}" y="{middle + 4:g}" text-anchor="end">{safe(bar.name)}'
        f'<tspan class="soft">{safe(bar.remark)}</tspan></text>',
        f'<rect class="bar" x="{LABELS}" y="{middle - BAR / 2:g}" width="{end - LABELS:.1f}" '
        f'height="{BAR}" rx="2"/>',
        f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}"/>',
    ]
    page.text(WIDTH - MARGIN, bar.text, anchor="end", dy=ROW / 2 + 4)
    page.y += ROW

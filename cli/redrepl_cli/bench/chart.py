"""The ratios as a bar chart: one SVG file that needs nothing else, readable on light and dark."""

from __future__ import annotations

from collections.abc import Iterator

from redrepl_cli.bench.figures import Ratio, Result
from redrepl_cli.bench.report import Report
from redrepl_cli.bench.subjects import Group
from redrepl_cli.bench.table import better, memory_line, ratio_text
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

CAPTION = (
    "Bars: the ratio of a call to the one named after the stroke, taken in each round; the median. Lines, and "
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


def chart(report: Report) -> str:
    """The SVG document."""
    page = Page(WIDTH, TEXT_COLUMNS)
    page.y += 8
    page.text(MARGIN, "What redrepl costs: ratios measured side by side", "title")
    page.y += 22
    for line in (report.headline, report.circumstances):
        page.paragraph(line)
    for group, results in report.results_by_group():
        _draw_group(page, group, results)
    page.y += 24
    if report.found.memory:
        page.paragraph(f"Memory of the process: {memory_line(report.found.memory)}.")
    for reason, names in report.reasons().items():
        page.paragraph(f"Not measured, because {reason}: {', '.join(names)}.")
    for text in (CAPTION, *report.notes):
        page.paragraph(text)
    return page.document(report.headline, _STYLE, _DARK_STYLE)


def _draw_group(page: Page, group: Group, results: list[Result]) -> None:
    rows = list(_rows(results))
    if not rows:
        return
    longest = max(1.0, *(ratio.spread.third_quartile for _, ratio in rows), *(ratio.spread.median for _, ratio in rows))
    page.y += 32
    page.text(MARGIN, group.title, "group")
    page.text(WIDTH - MARGIN, better(group), "soft", "end")
    page.y += 8
    one = LABELS + BARS / longest
    page.elements.append(
        f'<line class="one" x1="{one:g}" x2="{one:g}" y1="{page.y:g}" y2="{page.y + ROW * len(rows):g}"/>'
    )
    for name, ratio in rows:
        _draw_row(page, name, ratio, BARS / longest)


def _rows(results: list[Result]) -> Iterator[tuple[str, Ratio]]:
    return ((result.name, ratio) for result in results for ratio in result.ratios)


def _draw_row(page: Page, name: str, ratio: Ratio, scale: float) -> None:
    middle = page.y + ROW / 2
    value, first, third = (LABELS + number * scale for number in ratio.spread[:3])
    page.elements += [
        f'<text x="{LABELS - 10}" y="{middle + 4:g}" text-anchor="end">{safe(name)} '
        f'<tspan class="soft">/ {safe(ratio.baseline)}</tspan></text>',
        f'<rect class="bar" x="{LABELS}" y="{middle - BAR / 2:g}" width="{value - LABELS:.1f}" height="{BAR}" rx="2"/>',
        f'<line class="spread" x1="{first:.1f}" x2="{third:.1f}" y1="{middle:g}" y2="{middle:g}"/>',
    ]
    page.text(WIDTH - MARGIN, ratio_text(ratio.spread), anchor="end", dy=ROW / 2 + 4)
    page.y += ROW

"""A report for people: ratios first, eighty columns wide."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from redrepl_cli.bench.figures import Result, Spread
from redrepl_cli.bench.large import Large
from redrepl_cli.bench.memory import Memory
from redrepl_cli.bench.outages import OutageResult
from redrepl_cli.bench.report import Report
from redrepl_cli.bench.subjects import Group
from redrepl_cli.output import console_for, plain_table, write
from redrepl_cli.text import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

MILLI = 1000.0

WIDE_COLUMNS = 100
"""From here on the widest table has room for the brackets of p99."""

EXPLANATION = (
    "Figures are medians of the rounds, in brackets the middle half of the rounds.\n"
    "Ratios are taken round by round, against the line above that is not indented."
)

OUTAGE_EXPLANATION = (
    "Seconds from the signal to the end of the first write that began after it and\n"
    "was acknowledged: median, in brackets the shortest and the longest. Failed\n"
    "calls: of one outage. Lost writes: acknowledged, and not found when writes went\n"
    "on, of all that were acknowledged in all outages."
)


def write_tables(report: Report) -> None:
    """Everything, on standard output."""
    is_wide = console_for(sys.stdout).width >= WIDE_COLUMNS
    parts: list[RenderableType] = [_bold(report.headline), report.circumstances]
    if report.found.results:
        parts += ["", EXPLANATION]
    if report.found.outages:
        parts += ["", OUTAGE_EXPLANATION]
    if not report.found.is_empty:
        parts += report.notes
    for group, results in report.results_by_group():
        parts += [
            "",
            _bold(f"{group.title} ({better(group)})"),
            group_table(group, results, is_wide),
        ]
    for fault, outages in report.outages_by_group():
        parts += ["", _bold(fault.title), outage_table(outages)]
    if report.found.memory:
        parts += [
            "",
            _bold("memory of this process over many operations"),
            memory_line(report.found.memory),
        ]
    if report.found.large:
        parts += [
            "",
            _bold("an emptied replica filled beside writes"),
            *large_lines(report.found.large),
        ]
    for reason, names in report.reasons().items():
        parts += ["", _bold("not measured: ") + printable(reason), *(f"  {name}" for name in names)]
    times = ", ".join(
        f"{name} {seconds:.1f}" for name, seconds in report.found.group_seconds.items()
    )
    parts += ["", f"took {report.found.seconds:.1f} s ({times})"]
    write(*parts)


def better(group: Group) -> str:
    """How a group's ratios are to be read."""
    return "ratio of rates, more is better" if group.is_rate else "ratio of times, less is better"


def group_table(group: Group, results: Sequence[Result], is_wide: bool) -> Table:
    """A line for each ratio; a subject's figures stand on its first.

    ``is_wide``: there is room for all brackets.
    """
    scale, unit = _scale(results)
    figures = ("thousand/s" if group.is_rate else f"median {unit}", f"p99 {unit}")
    rows = [
        row
        for result, indent in _below_baselines(results)
        for row in _rows(result, indent, scale, is_wide)
    ]
    table = plain_table(("", "ratio", *figures), rows)
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def outage_table(results: Sequence[OutageResult]) -> Table:
    """A line for each subject."""
    rows = [
        (
            result.name,
            outage_text(result.seconds),
            _calls_text(result.failed),
            f"{result.lost:,} of {result.acknowledged:,}",
        )
        for result in results
    ]
    table = plain_table(("", "seconds", "failed calls", "lost writes"), rows)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def outage_text(seconds: Spread) -> str:
    """As 0.08 (0.05–0.11)."""
    return f"{seconds.median:.2f} ({seconds.lowest:.2f}–{seconds.highest:.2f})"


def _calls_text(failed: Spread) -> str:
    return f"{failed.median:.0f} ({failed.lowest:.0f}–{failed.highest:.0f})"


def _scale(results: Sequence[Result]) -> tuple[float, str]:
    """Milliseconds where microseconds would be long."""
    longest = max(result.median_micros.median for result in results)
    return (MILLI, "ms") if longest >= MILLI else (1.0, "µs")


def _below_baselines(results: Sequence[Result]) -> Iterator[tuple[Result, str]]:
    """Every result after the one it is compared with, and its indent."""
    for base in results:
        if not base.ratios:
            yield base, ""
            yield from (
                (r, "  ") for r in results if r.ratios and r.ratios[0].baseline == base.name
            )


def _rows(result: Result, indent: str, scale: float, is_wide: bool) -> list[tuple[str, ...]]:
    main = (
        _scattered(result.rate, MILLI) if result.rate else _scattered(result.median_micros, scale)
    )
    p99 = (
        _scattered(result.p99_micros, scale)
        if is_wide
        else _short(result.p99_micros.median / scale)
    )
    ratios = [ratio_text(ratio.spread) for ratio in result.ratios] or [""]
    others = [
        (f"    to {ratio.baseline}", ratio_text(ratio.spread), " ", " ")
        for ratio in result.ratios[1:]
    ]
    return [(indent + result.name, ratios[0], main, p99), *others]


def ratio_text(ratio: Spread) -> str:
    """As 1.31 (1.25–1.44)."""
    return f"{ratio.median:.2f} ({ratio.first_quartile:.2f}–{ratio.third_quartile:.2f})"


def _scattered(figure: Spread, scale: float) -> str:
    value, first, third = (_short(number / scale) for number in figure[:3])
    return f"{value} ({first}–{third})"


def _short(number: float) -> str:
    """Three digits, without an exponent."""
    return f"{number:.2f}" if number < 10 else f"{number:.1f}" if number < 100 else f"{number:.0f}"


def memory_line(memory: Memory) -> str:
    """The growth, and what it was over."""
    before, after = (value / 1e6 for value in (memory.rss_bytes[0], memory.rss_bytes[-1]))
    growth = f"{memory.growth_bytes_per_operation:+.2f} bytes per operation"
    return (
        f"{before:.1f} MB before and {after:.1f} MB after {memory.operations:,} operations on "
        f"{memory.different_keys:,} keys: {growth}"
    )


def large_lines(large: Large) -> list[str]:
    """How long it took, what it cost, and the memory it took."""
    rss = [value / 1e6 for value in large.worker_rss_bytes or (0,)]
    return [
        f"{large.keys:,} keys in {large.refill_seconds:.0f} s, "
        f"{large.keys / large.refill_seconds:,.0f} keys/s, beside "
        f"{large.writes_per_second:,.0f} writes/s",
        f"median of QUORUM writes: {large.alone_micros:.0f} µs alone, {large.beside_micros:.0f} "
        "µs beside it, ratio "
        f"{large.ratio:.2f}",
        f"memory of the worker: {rss[0]:.1f} MB first, {max(rss):.1f} MB at most, {rss[-1]:.1f} "
        "MB last",
    ]


def _bold(text: str) -> Text:
    from rich.text import Text

    return Text(text, style="bold")

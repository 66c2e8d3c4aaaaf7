"""`redrepl plan`."""

from __future__ import annotations

import click

from redrepl.values import limits
from redrepl.values.availability import AvailabilityPlan, Switching, plan_availability
from redrepl_cli.options import Invocation, common_options
from redrepl_cli.output import listing, plain_table, write, write_json
from redrepl_cli.parameters import PROBABILITY, FiniteRange

AUTOMATIC, MANUAL = "automatic", "manual"
MINUTES_PER_YEAR = 365.25 * 24 * 60


@click.command
@click.option(
    "--copies",
    type=click.IntRange(1, limits.MAX_NODES),
    required=True,
    help="Copies, the primary included.",
)
@click.option(
    "--availability",
    "availabilities",
    type=PROBABILITY,
    multiple=True,
    required=True,
    metavar="P",
    help="How likely a copy is up, as 0.999 or 99.9%: once for all, or once per copy, the "
    "primary's first.",
)
@click.option(
    "--reads-per-second-per-copy",
    type=FiniteRange(0),
    metavar="R",
    help="Reads that one copy can serve.",
)
@click.option(
    "--failover",
    type=click.Choice([AUTOMATIC, MANUAL]),
    default=AUTOMATIC,
    show_default=True,
    help="Whether a majority replaces a primary that fails.",
)
@click.option(
    "--switching-seconds",
    type=FiniteRange(0),
    default=limits.SWITCHING_SECONDS,
    show_default=True,
    metavar="S",
    help="From a primary's failure until another one takes writes: how soon it is noticed, and "
    "the failover.",
)
@click.option(
    "--away-minutes",
    type=FiniteRange(0, min_open=True),
    default=limits.AWAY_SECONDS / 60,
    show_default=True,
    metavar="M",
    help="How long a copy that fails is away, until it has been brought up again.",
)
@common_options
def plan(
    invocation: Invocation,
    copies: int,
    availabilities: tuple[float, ...],
    reads_per_second_per_copy: float | None,
    failover: str,
    switching_seconds: float,
    away_minutes: float,
) -> None:
    """Compute how likely writes and reads succeed with this many copies that fail independently.

    With automatic failover a write at QUORUM needs any majority of the copies, and some moments
    pass each time that a primary is replaced; without, it needs the primary, and as many other
    copies as its level says. Nodes are not contacted. Copies that share a machine, a rack or a
    mistake fail together: then the truth is worse.

    \b
    Examples: redrepl plan --copies 3 --availability 99.9%
              redrepl plan --copies 5 --availability 99% --switching-seconds 1 --away-minutes 10
              redrepl plan --copies 2 --availability 0.99 --availability 0.95
                           --reads-per-second-per-copy 50000
    """
    if len(availabilities) not in (1, copies):
        raise click.UsageError(
            f"give --availability once or {copies} times, not {len(availabilities)} times"
        )
    each = availabilities if len(availabilities) == copies else availabilities * copies
    switching = Switching(switching_seconds, away_minutes * 60) if failover == AUTOMATIC else None
    found = plan_availability(each, reads_per_second_per_copy, switching)
    if invocation.as_json:
        write_json(found.as_json())
    else:
        _show(found)


def _show(found: AvailabilityPlan) -> None:
    rows = [
        (
            f"write {_level_text(level.names, level.required)}",
            *_chance_cells(level.write_availability),
        )
        for level in found.levels
    ]
    rows.append(("read QUORUM", *_chance_cells(found.quorum_read_availability)))
    rows.append(("read from any copy", *_chance_cells(found.any_copy_read_availability)))
    write(plain_table(["operation", "succeeds", "fails per year"], rows))
    if found.reads_per_second is not None:
        capacity = (
            f"{found.reads_per_second:,.0f} reads/s, "
            f"{found.expected_reads_per_second:,.0f} on average"
        )
        write("", listing([("all copies carry", capacity)]))
    write("", *_assumptions(found))


def _assumptions(found: AvailabilityPlan) -> list[str]:
    """What the figures take for granted."""
    lines = [
        "taken for granted: copies fail independently; one that fails counts again once it has "
        "been brought up"
    ]
    if found.switching is None:
        return [*lines, "a primary that fails stays the primary, so writes wait for it"]
    seconds, minutes = found.switching.seconds, found.switching.away_seconds / 60
    if not found.switches_per_year:
        return [
            *lines,
            "a failover takes a majority without the primary: there is none, so writes wait for it",
        ]
    each_year = (
        f"{found.switches_per_year:.3g} times a year, "
        f"{found.switches_per_year * seconds:.3g} s in all"
    )
    return [
        *lines,
        f"a primary that fails is replaced {seconds:g} s later by any majority that is up (a "
        "worker or monitor runs)",
        f"that happens {each_year}, where a copy that fails is away for {minutes:g} minutes",
    ]


def _level_text(names: tuple[str, ...], required: int) -> str:
    count = f"{required} other" if required == 1 else f"{required} others"
    return f"{', '.join(names)} ({count})" if names else f"{required} ({count})"


def _chance_cells(chance: float) -> tuple[str, str]:
    return f"{chance * 100:.7g} %", _duration((1.0 - chance) * MINUTES_PER_YEAR)


def _duration(minutes: float) -> str:
    if minutes >= 48 * 60:
        return f"{minutes / (24 * 60):.1f} days"
    if minutes >= 120:
        return f"{minutes / 60:.1f} hours"
    return f"{minutes:.1f} minutes" if minutes >= 1 else f"{minutes * 60:.3g} seconds"

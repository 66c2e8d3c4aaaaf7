"""`redrepl verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from redrepl import Administration, VerifyReport
from redrepl_cli.confirmation import confirm, require_terminal_or_yes
from redrepl_cli.errors import show
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.options import Invocation, common_options, yes_option
from redrepl_cli.output import plain_table, say, write, write_json
from redrepl_cli.progress import shown_progress
from redrepl_cli.text import printable

if TYPE_CHECKING:
    from rich.table import Table

SHOWN_MISMATCHES = 100
"""More would scroll away; JSON holds them all."""


@click.command
@click.option("--repair", is_flag=True, help="Make copies that differ equal to the primary.")
@yes_option
@common_options
def verify(invocation: Invocation, repair: bool, yes: bool) -> ExitCode:
    """Compare every copy with the primary, record by record, and prove that they are equal.

    Exit codes: 0 equal, 3 a copy differs or could not be compared, 4 the primary does not answer.
    With --repair, 0 where all are equal afterwards.

    \b
    Examples: redrepl verify --format json
              redrepl verify --repair
    """
    if repair:
        require_terminal_or_yes(yes, "verify --repair")
    with Administration(invocation.configuration()) as administration:
        if not repair:
            report = _verify(administration, repair=False)
        elif yes:
            report = _verify(administration, repair=True)
        else:
            report = _repair_if_wanted(administration)
    _show(invocation, report)
    return ExitCode.DONE if report.consistent else ExitCode.DEGRADED


def _verify(administration: Administration, repair: bool) -> VerifyReport:
    with shown_progress() as on_progress:
        return administration.verify(repair, on_progress)


def _repair_if_wanted(administration: Administration) -> VerifyReport:
    report = _verify(administration, repair=False)
    if not report.mismatches:
        return report
    nodes = ", ".join(sorted({mismatch.node for mismatch in report.mismatches}))
    write(_mismatch_table(report))
    confirm(
        False,
        "verify --repair",
        f"{len(report.mismatches)} records on {nodes} are replaced by the primary's",
    )
    return _verify(administration, repair=True)


def _show(invocation: Invocation, report: VerifyReport) -> None:
    if invocation.as_json:
        write_json(report.as_json())
    else:
        _show_table(report)
    if report.unreachable:
        show(
            "these nodes could not be compared",
            report.unreachable,
            "`redrepl status` shows what is wrong with them",
        )


def _show_table(report: VerifyReport) -> None:
    if report.mismatches:
        write(_mismatch_table(report))
    left = len(report.mismatches) - SHOWN_MISMATCHES
    if left > 0:
        say(f"and {left} more; --format json gives all")
    verdict = "consistent" if report.consistent else "NOT consistent"
    repaired = f", {report.repaired} records repaired" if report.repaired else ""
    write(
        f"{verdict}: {report.keys_checked} keys checked, {len(report.mismatches)} "
        f"mismatches{repaired}"
    )


def _mismatch_table(report: VerifyReport) -> Table:
    columns = ["key", "node", "kind", "primary's stamp", "node's stamp"]
    shown = report.mismatches[:SHOWN_MISMATCHES]
    return plain_table(
        columns, [(printable(m.key), m.node, m.kind, m.primary_stamp, m.node_stamp) for m in shown]
    )

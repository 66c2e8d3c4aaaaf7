"""`redrepl chaos`."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from redrepl.embedded import find_server_binary, why_clocks_are_fixed
from redrepl_cli.chaos.faults import FAULTS, Planned, planned
from redrepl_cli.chaos.page import html
from redrepl_cli.chaos.picture import picture
from redrepl_cli.chaos.processes import ClientFailed
from redrepl_cli.chaos.report import Report, judge, write_report
from redrepl_cli.chaos.run import perform
from redrepl_cli.chaos.stage import Settings
from redrepl_cli.errors import CommandFailed
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.options import DEBUG
from redrepl_cli.output import say, write_json
from redrepl_cli.parameters import FiniteRange

FORMATS = {".html": html, ".svg": picture}
FEWEST_COPIES, MOST_COPIES = 3, 9
"""Two copies cannot lose one and go on."""


class FaultsType(click.ParamType[list[Planned]]):
    """A list of faults, each for one target or all that it can hit."""

    name = "faults"

    def convert(
        self, value: str | list[Planned], param: click.Parameter | None, ctx: click.Context | None
    ) -> list[Planned]:
        """Refuse what does not exist before anything starts."""
        if isinstance(value, list):
            return value
        try:
            return planned(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


_LIST = "\n".join(f"  {fault.name:<15} {fault.summary}" for fault in FAULTS.values())


@click.command(
    epilog=f"\b\nFaults, each on the primary and on a replica where it hits a node:\n{_LIST}"
)
@click.option(
    "--seconds",
    type=FiniteRange(1, 3600),
    default=6.0,
    show_default=True,
    help="How long each fault lasts at least; with what is around it, each takes some 4 s more.",
)
@click.option(
    "--faults",
    "plan",
    type=FaultsType(),
    metavar="LIST",
    help="As kill,freeze:primary [default: all].",
)
@click.option(
    "--copies", type=click.IntRange(FEWEST_COPIES, MOST_COPIES), default=3, show_default=True
)
@click.option(
    "--clients", type=click.IntRange(1, 32), default=4, show_default=True, help="Processes."
)
@click.option(
    "--keys",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="Fewer: more contention.",
)
@click.option(
    "--seed", type=int, help="Of what clients do; timing is never the same [default: random]."
)
@click.option(
    "--report",
    "report_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Also draw the run, as .html or .svg.",
)
@click.option(
    "--binary", type=click.Path(path_type=Path), help="Server program [default: what is found]."
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the output.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks of errors (also REDREPL_DEBUG=1).")
def chaos(
    seconds: float,
    plan: list[Planned] | None,
    copies: int,
    clients: int,
    keys: int,
    seed: int | None,
    report_file: Path | None,
    binary: Path | None,
    output_format: str,
    debug: bool,
) -> ExitCode:
    """Break a throw-away cluster in every way while clients use it, and prove what they saw.

    Starts servers, a queue, workers and clients of its own, which are gone afterwards. Clients read
    and write at QUORUM all the time. One fault follows another, on the primary and on a replica;
    after each, all copies must come back by themselves and be equal. In the end all that clients
    saw must be linearizable, and nothing acknowledged be lost. Exit code 1 if not.

    \b
    Examples: redrepl chaos --report chaos.html
              redrepl chaos --faults kill,cut:primary --seconds 10
    """
    click.get_current_context().meta[DEBUG] = debug
    if report_file is not None:
        _check_report_file(report_file)
    plan = plan or _all_that_can_be()
    settings = Settings(
        find_server_binary(binary),
        seconds,
        copies,
        clients,
        keys,
        secrets.randbelow(1 << 31) if seed is None else seed,
        moves_clocks=any(each.fault.moves_clocks for each in plan),
    )
    try:
        run = perform(settings, plan, say)
    except ClientFailed as error:
        raise CommandFailed(str(error), ExitCode.ERROR) from error
    say(f"checking {len(run.operations):,} operations")
    return _show(judge(run), report_file, output_format)


def _all_that_can_be() -> list[Planned]:
    reason = why_clocks_are_fixed()
    if reason is not None:
        say(f"without faults of the nodes' clocks: {reason}")
    return planned(None, clocks_can_be_moved=reason is None)


def _check_report_file(file: Path) -> None:
    """Before minutes of running."""
    if file.suffix.lower() not in FORMATS:
        raise click.BadParameter(
            f"{file} must end in {' or '.join(FORMATS)}", param_hint="--report"
        )
    if not file.parent.is_dir():
        raise click.BadParameter(f"{file.parent} is no directory", param_hint="--report")


def _show(report: Report, report_file: Path | None, output_format: str) -> ExitCode:
    if output_format == "json":
        write_json(report.as_json())
    else:
        write_report(report)
    if report_file is not None:
        report_file.write_text(FORMATS[report_file.suffix.lower()](report), encoding="utf-8")
        say(f"report: {report_file}")
    return ExitCode.DONE if report.passed else ExitCode.ERROR

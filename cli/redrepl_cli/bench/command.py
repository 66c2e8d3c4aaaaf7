"""`redrepl bench`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from redrepl import load_configuration
from redrepl.embedded import EmbeddedError, ServerBinary, find_server_binary
from redrepl.values import limits
from redrepl_cli.bench.chart import chart
from redrepl_cli.bench.machine import find_engine, machine_facts
from redrepl_cli.bench.placement import find_placement
from redrepl_cli.bench.report import Report
from redrepl_cli.bench.run import OnProgress, run_suite
from redrepl_cli.bench.settings import Settings
from redrepl_cli.bench.suites import SUITES, Suite
from redrepl_cli.bench.table import write_tables
from redrepl_cli.errors import show
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.options import DEBUG
from redrepl_cli.output import write_json
from redrepl_cli.progress import shown_progress

_FILE = click.Path(path_type=Path)


@click.command
@click.option(
    "--suite",
    "suite_name",
    type=click.Choice(list(SUITES)),
    default="basic",
    show_default=True,
    help="basic: 15 s. peers: native replication, asyncio, faults, delay, memory; 1 to 3 min. "
    "memory: 2 min. failover: "
    "how long writes stop when the primary is killed or freezes, beside Sentinel; 4 min, with "
    "--events 3 a minute. "
    "large: an emptied replica of --keys keys is filled beside 5,000 writes a second; minutes.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Measure what matches, as 'asyncio' or '*/*QUORUM*'.",
)
@click.option(
    "--config",
    type=_FILE,
    help="Measure this cluster [default: embedded servers made for the run].",
)
@click.option(
    "--binary", type=_FILE, help="Program of the embedded servers [default: what is found]."
)
@click.option(
    "--copies",
    type=click.IntRange(1, limits.MAX_NODES),
    default=3,
    show_default=True,
    help="On embedded servers.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    default=60,
    show_default=True,
    help="Rounds that count.",
)
@click.option(
    "--operations",
    type=click.IntRange(1, 100_000),
    default=150,
    show_default=True,
    help="Calls per round.",
)
@click.option(
    "--events",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="Faults for each (suite failover).",
)
@click.option(
    "--keys",
    type=click.IntRange(1000, 100_000_000),
    default=1_000_000,
    show_default=True,
    help="Keys of the cluster (suite large); a copy of a million takes 0.3 GB.",
)
@click.option(
    "--value-bytes",
    type=click.IntRange(0, 1_000_000),
    default=100,
    show_default=True,
    help="Size of a value.",
)
@click.option(
    "--chart",
    "chart_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE.svg",
    help="Also draw the ratios.",
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
def bench(
    suite_name: str,
    only: tuple[str, ...],
    config: Path | None,
    binary: Path | None,
    chart_file: Path | None,
    output_format: str,
    debug: bool,
    **sizes: int,
) -> ExitCode:
    """Measure redrepl's operations beside redis-py's and native replication's, in turns, in one
    run.

    Ratios are taken round by round. Without --config it starts servers of its own. On servers of
    yours it leaves out what needs others; its keys begin with "redrepl-bench:" and are deleted at
    the end, also after Ctrl-C. What could not be measured is said. Exit code 1 where that is
    everything.

    \b
    Examples: redrepl bench
              redrepl bench --suite peers --chart bench.svg --format json
              redrepl bench --suite failover --events 3
              redrepl bench --suite large --keys 5000000
              redrepl bench --config redrepl.toml --only QUORUM
    """
    click.get_current_context().meta[DEBUG] = debug
    suite = _suite(suite_name, only)
    _check_folder(chart_file)
    own = load_configuration(config) if config is not None else None
    program = _binary(binary) if own is None else None
    settings = Settings(own=own, binary=program, **sizes)
    engine, placement = find_engine(settings), find_placement(settings)
    with _progress() as on_progress:
        found = run_suite(suite, settings, on_progress)
    report = Report(suite_name, settings, engine, machine_facts(engine), found, placement)
    return _show(report, chart_file, output_format)


def _suite(name: str, only: tuple[str, ...]) -> Suite:
    suite = SUITES[name]
    if not only:
        return suite
    chosen = suite.only(only)
    if not chosen.names:
        listed = ", ".join(suite.names)
        raise click.BadParameter(
            f"nothing in suite {name} fits; it has {listed}", param_hint="--only"
        )
    return chosen


def _check_folder(chart_file: Path | None) -> None:
    """Before minutes of measuring."""
    if chart_file is not None and not chart_file.parent.is_dir():
        raise click.BadParameter(f"{chart_file.parent} is no directory", param_hint="--chart")


def _binary(wanted: Path | None) -> ServerBinary | None:
    """None where none is found: then nothing that needs one is measured, and the report says
    why.
    """
    try:
        return find_server_binary(wanted)
    except EmbeddedError:
        if wanted is not None:
            raise
        return None


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A bar while somebody looks, else nothing."""
    if not sys.stderr.isatty():
        yield lambda _progress: None
        return
    with shown_progress() as on_progress:
        yield on_progress


def _show(report: Report, chart_file: Path | None, output_format: str) -> ExitCode:
    if output_format == "json":
        write_json(report.as_json())
    else:
        write_tables(report)
    if chart_file is not None:
        chart_file.write_text(chart(report), encoding="utf-8")
    if report.found.is_empty:
        show("nothing could be measured", {}, next(iter(report.reasons()), None))
        return ExitCode.ERROR
    return ExitCode.DONE

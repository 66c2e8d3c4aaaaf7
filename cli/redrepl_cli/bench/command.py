"""The command `redrepl bench`."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click

from redrepl import Administration, Configuration, Coordinator, NodeRole, load_configuration
from redrepl.edges.endpoint import connection_options, split_url
from redrepl.embedded import EmbeddedCluster, EmbeddedError, find_server_binary
from redrepl_cli.bench.measure import Measured, Subject, run_rounds

KEYS = 1000
_NAMES = "abcdefghijklmnop"
_PREFIX = "redrepl-bench:"


@click.command()
@click.option("--config", type=click.Path(), help="Measure this cluster; default: embedded servers made for the run.")
@click.option("--copies", type=click.IntRange(1, 16), default=3, show_default=True, help="Embedded servers.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=20, show_default=True, help="Rounds that count.")
@click.option("--operations", type=click.IntRange(1, 100_000), default=300, show_default=True, help="Calls per round.")
@click.option(
    "--value-bytes", type=click.IntRange(0, 1_000_000), default=100, show_default=True, help="Size of a value."
)
@click.option("--format", "output_format", type=click.Choice(["table", "json"]), default="table", help="Output form.")
def bench(config: str | None, copies: int, rounds: int, operations: int, value_bytes: int, output_format: str) -> None:
    """Measure redrepl's operations beside redis-py's, interleaved in one run.

    The baseline is redis-py's `set` and `get` on the primary's server alone. Ratios are taken round by round. Keys
    start with "redrepl-bench:" and are deleted afterwards. Example: redrepl bench --rounds 40 --format json
    """
    try:
        with _cluster(config, copies) as (configuration, engine):
            measured = _measure(configuration, rounds, operations, value_bytes)
    except EmbeddedError as error:
        raise click.ClickException(str(error)) from error
    about = _about(configuration, engine, rounds, operations, value_bytes)
    if output_format == "json":
        click.echo(json.dumps({"schema_version": 1, **about, "results": [asdict(result) for result in measured]}))
    else:
        _table(about, measured)


@contextmanager
def _cluster(config: str | None, copies: int) -> Iterator[tuple[Configuration, str]]:
    if config is not None:
        yield load_configuration(config), "configured servers"
        return
    binary = find_server_binary()
    with EmbeddedCluster(names=_NAMES[:copies], binary=binary) as cluster:
        endpoints = tuple(split_url(node, url) for node, url in cluster.urls.items())
        roles = (NodeRole.PRIMARY, *[NodeRole.REPLICA] * (copies - 1))
        configuration = Configuration("bench", endpoints, roles)
        with Administration(configuration) as administration:
            administration.initialise()
        yield configuration, f"embedded {binary.engine} {binary.version_text}"


def _measure(configuration: Configuration, rounds: int, operations: int, value_bytes: int) -> list[Measured]:
    from redis import ConnectionPool, Redis

    value = b"x" * value_bytes
    with Coordinator[str, bytes](configuration) as coordinator:
        primary = coordinator.topology.primaries[0]
        endpoint = next(e for e in configuration.endpoints if e.node == primary)
        connection_class, options = connection_options(endpoint)
        pool: Any = ConnectionPool(connection_class=connection_class, **options)
        plain: Any = Redis(connection_pool=pool)
        try:
            with _progress(rounds + 1) as advance:
                return run_rounds(_subjects(plain, coordinator, value), rounds, operations, advance)
        finally:
            plain.delete(*(f"{_PREFIX}plain:{number}" for number in range(KEYS)))
            coordinator.delete_many(list(coordinator.keys(_PREFIX)))
            plain.close()


@contextmanager
def _progress(length: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while somebody looks."""
    with click.progressbar(length=length, label="measuring", file=sys.stderr) as bar:
        yield lambda _round: bar.update(1)


def _subjects(plain: Any, coordinator: Coordinator[str, bytes], value: bytes) -> list[Subject]:
    subjects = [
        Subject("redis-py set", lambda n: plain.set(f"{_PREFIX}plain:{n % KEYS}", value), None),
        Subject("redis-py get", lambda n: plain.get(f"{_PREFIX}plain:{n % KEYS}"), None),
    ]
    subjects += [_set_at(coordinator, level, value) for level in ("async", "one", "quorum", "all")]
    subjects.append(Subject("redrepl get ONE", lambda n: coordinator.get(f"{_PREFIX}{n % KEYS}"), "redis-py get"))
    quorum = Subject(
        "redrepl get QUORUM", lambda n: coordinator.get(f"{_PREFIX}{n % KEYS}", level="quorum"), "redis-py get"
    )
    return [*subjects, quorum]


def _set_at(coordinator: Coordinator[str, bytes], level: str, value: bytes) -> Subject:
    name = f"redrepl set {level.upper()}"
    return Subject(name, lambda n: coordinator.set(f"{_PREFIX}{n % KEYS}", value, level=level), "redis-py set")


def _about(configuration: Configuration, engine: str, rounds: int, operations: int, value_bytes: int) -> dict[str, Any]:
    return {
        "servers": engine,
        "copies": len(configuration.endpoints),
        "rounds": rounds,
        "operations_per_round": operations,
        "value_bytes": value_bytes,
        "python": platform.python_version(),
    }


def _table(about: dict[str, Any], measured: list[Measured]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{about['copies']} copies on {about['servers']}, {about['value_bytes']} bytes"
    table = Table(title=title, caption="microseconds per operation; ratio: to redis-py's set or get")
    table.add_column("operation", no_wrap=True)
    for heading in ("median", "of rounds", "p99", "ratio", "of rounds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in measured:
        low, high = result.spread_micros
        ratio, ratios = "", ""
        if result.ratio is not None and result.ratio_spread is not None:
            ratio, ratios = f"{result.ratio:.2f}", f"{result.ratio_spread[0]:.2f}–{result.ratio_spread[1]:.2f}"
        row = (f"{result.median_micros:.1f}", f"{low:.1f}–{high:.1f}", f"{result.p99_micros:.1f}", ratio, ratios)
        table.add_row(result.name, *row)
    Console().print(table)

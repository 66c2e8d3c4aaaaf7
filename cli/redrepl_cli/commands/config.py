"""`redrepl config check|show`."""

from __future__ import annotations

from typing import Any

import click

from redrepl import Administration, ConfigError, Configuration, RequestError
from redrepl.edges.endpoint import place_of
from redrepl.values.level import required_copies
from redrepl.values.reasons import advice_on
from redrepl.values.status import SCHEMA_VERSION
from redrepl_cli.errors import show
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.options import Invocation, common_options
from redrepl_cli.output import plain_table, say, write, write_json, write_text
from redrepl_cli.queue import queue_statistics
from redrepl_cli.views.configuration import configuration_json, configuration_toml


@click.group
def config() -> None:
    """Check and show the configuration."""


@config.command
@click.option("--connect", is_flag=True, help="Also contact the nodes and the queue.")
@common_options
def check(invocation: Invocation, connect: bool) -> ExitCode:
    """Load the configuration and say what is wrong with it; --connect contacts the nodes and the
    queue as well.

    Exit codes: 1 it is wrong; with --connect 3 something does not answer, 4 no node answers.

    \b
    Example: redrepl config check --connect
    """
    try:
        configuration = invocation.configuration()
        check_fit(configuration)
    except ConfigError as error:
        if invocation.as_json:
            head = {"schema_version": SCHEMA_VERSION, "valid": False}
            write_json({**head, "problems": [error.message], "nodes": [], "queue": None})
        raise
    answers = contacted(configuration) if connect else None
    _show(invocation, configuration, answers)
    return ExitCode.DONE if answers is None else _exit_code(answers)


def check_fit(configuration: Configuration) -> None:
    """Raise ConfigError where settings that are right by themselves do not fit each other."""
    copies, where = len(configuration.endpoints), configuration.origin
    try:
        required_copies(configuration.level, copies - 1)
    except RequestError as error:
        raise ConfigError(f"{where}: {error.message}") from error
    if configuration.required_readers > copies:
        raise ConfigError(
            f"{where}: required_readers is {configuration.required_readers}, but there are "
            f"{copies} nodes"
        )
    seen: dict[object, str] = {}
    for endpoint in configuration.endpoints:
        server = place_of(endpoint.reached_at)
        if server in seen:
            raise ConfigError(
                f"{where}: nodes {seen[server]!r} and {endpoint.node!r} are the same server and "
                "database"
            )
        seen[server] = endpoint.node


def contacted(configuration: Configuration) -> dict[str, str | None]:
    """Each configured node, and the queue if there is one: None where it answers and fits, else why
    not.

    Members that the configuration does not name are among them.
    """
    with Administration(configuration) as administration:
        topology, reports = administration.inspect()
        wrong = {
            **administration.contradictions(topology, reports),
            **administration.unfit_servers(),
        }
    configured = [endpoint.node for endpoint in configuration.endpoints]
    answers = {node: reports.silent.get(node) for node in reports.nodes}
    found = {node: wrong.get(node) or answers.get(node) for node in (*configured, *wrong)}
    if configuration.queue_url is not None:
        found["queue"] = queue_statistics(configuration).error
    return found


def _exit_code(answers: dict[str, str | None]) -> ExitCode:
    if all(error is None for error in answers.values()):
        return ExitCode.DONE
    nodes = [error for name, error in answers.items() if name != "queue"]
    return ExitCode.UNAVAILABLE if all(error is not None for error in nodes) else ExitCode.DEGRADED


def _show(
    invocation: Invocation, configuration: Configuration, answers: dict[str, str | None] | None
) -> None:
    if invocation.as_json:
        write_json(_as_json(configuration, answers))
    else:
        nodes = ", ".join(f"{member.id} ({member.role.value})" for member in configuration.members)
        write_text(
            f"{configuration.origin}: cluster {configuration.cluster}, "
            f"{configuration.mode.value}, nodes {nodes}"
        )
        if answers is not None:
            write(
                plain_table(
                    ["name", "answers"], [(name, error is None) for name, error in answers.items()]
                )
            )
    failed = {name: error for name, error in (answers or {}).items() if error is not None}
    if failed:
        show(
            "not everything answers as it should",
            failed,
            advice_on(failed) or "see what each of them answered",
        )
    elif answers is None:
        say("the configuration is well formed; --connect also contacts the nodes")


def _as_json(configuration: Configuration, answers: dict[str, str | None] | None) -> dict[str, Any]:
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "valid": True,
        "file": configuration.origin,
    }
    content |= {"cluster": configuration.cluster, "problems": []}
    nodes: list[dict[str, Any]] = [{"id": endpoint.node} for endpoint in configuration.endpoints]
    if answers is None:
        return {**content, "nodes": nodes, "queue": None}
    for node in nodes:
        node |= {"reachable": answers[node["id"]] is None, "error": answers[node["id"]]}
    queue = (
        {"reachable": answers["queue"] is None, "error": answers["queue"]}
        if "queue" in answers
        else None
    )
    return {**content, "nodes": nodes, "queue": queue}


@config.command("show")
@common_options
def show_configuration(invocation: Invocation) -> None:
    """Show the settings in effect, file and environment together; passwords are left out.

    \b
    Example: redrepl config show --format json
    """
    configuration = invocation.configuration()
    if invocation.as_json:
        write_json(configuration_json(configuration))
    else:
        write_text(configuration_toml(configuration))

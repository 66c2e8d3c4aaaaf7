"""`redrepl nodes list|add|replace|remove`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from redrepl import Administration, ConfigError, NodeState, RequestError, Topology
from redrepl.doors.operating import member_states, no_member_error
from redrepl.edges.endpoint import Endpoint, place_of, split_url
from redrepl.values.reports import Reports
from redrepl.values.status import SCHEMA_VERSION
from redrepl.values.validation import check_name
from redrepl_cli.confirmation import confirm, require_terminal_or_yes
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.options import Invocation, common_options, yes_option
from redrepl_cli.output import plain_table, say, write, write_json
from redrepl_cli.text import printable, shown_url


@click.group
def nodes() -> None:
    """List, add, replace and remove the nodes of the cluster."""


@nodes.command("list")
@common_options
def list_nodes(invocation: Invocation) -> ExitCode:
    """Show the members, as the nodes themselves know them.

    Exit code 3 where a member is not active; `redrepl status` says more.

    \b
    Example: redrepl nodes list --format json
    """
    configuration = invocation.configuration()
    with Administration(configuration) as administration:
        topology, reports = administration.inspect()
    if topology is None:
        raise no_member_error(configuration.cluster, reports)
    rows = _rows(topology, reports)
    if invocation.as_json:
        head = {
            "schema_version": SCHEMA_VERSION,
            "cluster": topology.cluster,
            "mode": topology.mode.value,
        }
        write_json({**head, "epoch": topology.epoch, "primary": topology.decider, "nodes": rows})
    else:
        columns = ["id", "role", "state", "epoch", "url"]
        write(plain_table(columns, [[row[column] for column in columns] for row in rows]))
        for row in rows:
            if row["error"]:
                say(f"  {row['id']}: {printable(row['error'])}")
    active = all(row["state"] == NodeState.ACTIVE.value for row in rows)
    return ExitCode.DONE if active else ExitCode.DEGRADED


def _rows(topology: Topology, reports: Reports) -> list[dict[str, Any]]:
    states = member_states(topology, reports)
    rows = []
    for member in topology.members:
        report = reports.of(member.id)
        state, error = states[member.id]
        epoch = report.epoch if report is not None and report.member else None
        row = {
            "id": member.id,
            "url": shown_url(member.url),
            "role": member.role.value,
            "state": state.value,
        }
        rows.append({**row, "epoch": epoch, "error": error})
    return rows


@nodes.command("add")
@click.argument("node", metavar="ID")
@click.argument("url")
@click.option(
    "--username",
    metavar="NAME",
    help="Login of the node [default: that of the first configured node].",
)
@click.option(
    "--password-env",
    metavar="VARIABLE",
    help="Environment variable that holds the node's password.",
)
@common_options
def add(
    invocation: Invocation, node: str, url: str, username: str | None, password_env: str | None
) -> None:
    """Take a server in as a node: as a replica, or as one more primary in multi-primary mode.

    It must be free of other clusters. The workers fill it; until then it is syncing. Passwords come
    from the environment, never from the command line.

    \b
    Example: redrepl nodes add d redis://10.0.0.4:6379/0 --password-env NODE_D_PASSWORD
    """
    configuration = invocation.configuration()
    endpoint = _endpoint(node, url, username, password_env, configuration.endpoints[0])
    with Administration(configuration) as administration:
        done = administration.add_node(endpoint)
        role = administration.find_members().member(node).role.value
    _show_done(invocation, done)
    say(f"\nadd it to {configuration.origin}, so that it is found while others are away:\n")
    say(_as_toml(endpoint, role, password_env))


@nodes.command("replace")
@click.argument("node", metavar="ID")
@click.argument("url")
@click.option(
    "--username", metavar="NAME", help="Login of the new server [default: that of the node]."
)
@click.option(
    "--password-env",
    metavar="VARIABLE",
    help="Environment variable that holds the new server's password.",
)
@click.option(
    "--accept-loss",
    is_flag=True,
    help="The members that do not answer are gone for good: go on without them.",
)
@yes_option
@common_options
def replace_node(
    invocation: Invocation,
    node: str,
    url: str,
    username: str | None,
    password_env: str | None,
    accept_loss: bool,
    yes: bool,
) -> None:
    """Give a node's place to another server, for a machine that is dead or is to go; writes go on.

    The new server must be free. The workers fill it; until then it is syncing. Where URL leads to
    the very server that the node is, only its address changes. The one primary, if it answers,
    hands its role over first; if it does not, `redrepl failover` comes first.

    \b
    Example: redrepl nodes replace c redis://10.0.0.9:6379/0 --yes
    """
    configuration = invocation.configuration()
    known, what = {each.node: each for each in configuration.endpoints}, f"replacing node {node!r}"
    endpoint = _endpoint(
        node, url, username, password_env, known.get(node, configuration.endpoints[0])
    )
    require_terminal_or_yes(yes, what)
    with Administration(configuration) as administration:
        topology = administration.find_members()
        if node in topology.ids:
            confirm(yes, what, _replacement_text(topology, node, endpoint, accept_loss))
        done = administration.replace_node(endpoint, accept_loss)
    _show_done(invocation, done)
    if node not in topology.ids or not _is_at(topology, node, endpoint):
        files = f"{configuration.origin}, and in the files of all programs"
        say(f"\nchange the url of node {node!r} in {files}, to {endpoint.url}")


def _replacement_text(topology: Topology, node: str, endpoint: Endpoint, accept_loss: bool) -> str:
    old, is_primary = shown_url(topology.member(node).url), node == topology.decider
    lines = [f"primary {node!r} first hands its role over to another node"] if is_primary else []
    lines.append(
        f"node {node!r} of cluster {topology.cluster!r}: {old} -> {shown_url(endpoint.url)}, in a "
        "new epoch"
    )
    if _is_at(topology, node, endpoint):
        lines.append(
            "the server there gets its own place anew: its bookkeeping goes, and the workers fill "
            "it"
        )
    else:
        lines.append(
            f"the server at {old} is no member any more, whatever it holds, and is refused if it "
            "comes back"
        )
    if accept_loss:
        lines.append(
            "members that do not answer are taken to be gone for good; if one still runs, its "
            "writes are lost"
        )
    return "\n".join(lines)


def _is_at(topology: Topology, node: str, endpoint: Endpoint) -> bool:
    """Whether the address is the member's own."""
    return place_of(endpoint.url) == place_of(topology.member(node).url)


def _endpoint(
    node: str, url: str, username: str | None, password_env: str | None, other: Endpoint
) -> Endpoint:
    """The address of the command line, with the login given there or else that of another node, and
    its TLS.
    """
    try:
        endpoint = split_url(check_name("node id", node), url, other.tls)
    except ConfigError as error:
        raise RequestError(error.message) from error
    if endpoint.password is not None or endpoint.tls.key_password != other.tls.key_password:
        raise RequestError(
            "the url must carry no password: command lines are visible to others; use "
            "--password-env"
        )
    password = None
    if password_env is not None:
        password = os.environ.get(password_env)
        if password is None:
            raise RequestError(f"--password-env: the environment has no {password_env}")
    if username is None and password_env is None and not endpoint.has_login:
        return replace(endpoint.with_login_of(other), tls=endpoint.tls)
    return replace(endpoint, username=username or endpoint.username, password=password)


def _as_toml(endpoint: Endpoint, role: str, password_env: str | None) -> str:
    pairs = {"id": endpoint.node, "url": endpoint.url, "role": role}
    if endpoint.username:
        pairs["username"] = endpoint.username
    if password_env:
        pairs["password_env"] = password_env
    return "\n".join(["[[nodes]]", *(f'{name} = "{value}"' for name, value in pairs.items())])


@nodes.command("remove")
@click.argument("node", metavar="ID")
@click.option(
    "--accept-loss",
    is_flag=True,
    help="The members that do not answer are gone for good: go on without them.",
)
@yes_option
@common_options
def remove(invocation: Invocation, node: str, accept_loss: bool, yes: bool) -> None:
    """Take a node out of the cluster.

    Its records stay on its server.

    The one primary hands its role over first, without losing anything. Enough of the nodes that
    stay are brought up before the node goes.

    \b
    Example: redrepl nodes remove c --yes
    """
    what = f"removing node {node!r}"
    require_terminal_or_yes(yes, what)
    with Administration(invocation.configuration()) as administration:
        topology = administration.find_members()
        if node in topology.ids:
            confirm(yes, what, _removal_text(topology, node))
        done = administration.remove_node(node, accept_loss)
    _show_done(invocation, done)
    say(f"\nnode {node!r} is out; delete its [[nodes]] entry from the configuration")


def _removal_text(topology: Topology, node: str) -> str:
    left = ", ".join(topology.others(node)) or "none"
    url, is_primary = shown_url(topology.member(node).url), node == topology.decider
    handing_over = (
        f"primary {node!r} first hands its role over to another node\n" if is_primary else ""
    )
    epoch = topology.epoch + (2 if is_primary else 1)
    return (
        f"{handing_over}node {node!r} ({url}) leaves cluster {topology.cluster!r}, epoch "
        f"{topology.epoch} -> {epoch}\n"
        f"copies left: {left}\n"
        "its records stay on its server, but no longer follow the cluster"
    )


def _show_done(invocation: Invocation, done: Mapping[str, str]) -> None:
    if invocation.as_json:
        found = [{"id": node, "result": result} for node, result in done.items()]
        write_json({"schema_version": SCHEMA_VERSION, "nodes": found})
    else:
        write(plain_table(["node", "result"], list(done.items())))

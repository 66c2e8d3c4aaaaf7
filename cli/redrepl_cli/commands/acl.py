"""`redrepl acl`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from redrepl import RequestError
from redrepl.edges.endpoint import Endpoint, place_of, split_url
from redrepl.edges.tls import TlsFileError, read_secret
from redrepl.values.jobs import default_queue
from redrepl.values.permissions import QueueNames, Role, node_rules, queue_rules
from redrepl.values.status import SCHEMA_VERSION
from redrepl.values.validation import check_name
from redrepl_cli.options import Invocation, common_options
from redrepl_cli.output import say, write_json, write_text

PLACEHOLDER = ">PASSWORD"
COMMAND, FILE = "command", "file"

_USER = re.compile(r"[^\s\x00()\"'\\]+")
"""What a user may be called; quotes and backslashes would have to be written differently in the two
forms.
"""


class _About(NamedTuple):
    """What the rules depend on."""

    cluster: str
    endpoints: Sequence[Endpoint]
    queue: str
    queue_url: str | None


@click.command
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    required=True,
    help="What the login is for.",
)
@click.option(
    "--queue",
    "for_queue",
    is_flag=True,
    help="The login on the Redis of the queue, not that on the nodes.",
)
@click.option("--user", metavar="NAME", help="Name of the login [default: CLUSTER-ROLE].")
@click.option(
    "--form",
    type=click.Choice([COMMAND, FILE]),
    default=COMMAND,
    show_default=True,
    help="A command for redis-cli, or a line of a users.acl file.",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Print the SHA-256 of the password in this file, as servers keep it, in place of "
    ">PASSWORD.",
)
@click.option(
    "--cluster",
    metavar="NAME",
    help="Of this cluster, without a configuration: in database 0, with the usual queue.",
)
@common_options
def acl(
    invocation: Invocation,
    role: str,
    for_queue: bool,
    user: str | None,
    form: str,
    password_file: Path | None,
    cluster: str | None,
) -> None:
    """Print the ACL rules of a login that may do what its role needs, and no more.

    \b
    application  programs: reading, writing, transactions, batches, health
    worker       workers and monitors: catch-up, failover, sweeps, trimming
    operator     all commands
    read-only    reading at every level, status

    The line goes to every node, or with --queue to the server of queue_url. Servers are not
    contacted. Nothing of another cluster can be changed by any of these logins.

    \b
    Examples: redrepl acl --role application
              redrepl acl --role worker --password-file worker.password | redis-cli -h HOST
              redrepl acl --role worker --queue --form file >> users.acl
    """
    about, wanted = _about(invocation, cluster), Role(role)
    name = f"{about.cluster}-{role}" if user is None else user
    if not _USER.fullmatch(name):
        raise click.UsageError(
            f"--user {name!r} is no name for a login: no spaces, brackets, quotes or backslashes"
        )
    rules = _queue_rules(about, wanted) if for_queue else _node_rules(about, wanted)
    rules = ["on", PLACEHOLDER if password_file is None else _digest(password_file), *rules]
    line = (
        f"user {name} {' '.join(rules)}"
        if form == FILE
        else f"ACL SETUSER {name} reset {' '.join(rules)}"
    )
    if invocation.as_json:
        head = {"schema_version": SCHEMA_VERSION, "cluster": about.cluster, "role": role}
        write_json(
            {
                **head,
                "server": "queue" if for_queue else "nodes",
                "user": name,
                "rules": rules,
                "line": line,
            }
        )
        return
    write_text(line)
    if password_file is None:
        say(f"replace {PLACEHOLDER[1:]} by the password of this login")


def _about(invocation: Invocation, cluster: str | None) -> _About:
    """From the configuration, unless a cluster is named: logins are made before the passwords that
    a file refers to.
    """
    if cluster is not None:
        return _About(check_name("--cluster", cluster), (), default_queue(cluster), None)
    found = invocation.configuration()
    return _About(found.cluster, found.endpoints, found.queue, found.queue_url)


def _node_rules(about: _About, role: Role) -> list[str]:
    return node_rules(role, about.cluster, *_options(about.endpoints))


def _queue_rules(about: _About, role: Role) -> list[str]:
    from redrepl.edges.job_queue import queue_prefix

    endpoints = [] if about.queue_url is None else [split_url("queue", about.queue_url)]
    names = QueueNames((about.queue, default_queue(about.cluster)), queue_prefix())
    return queue_rules(role, about.cluster, names, *_options(endpoints))


def _options(endpoints: Sequence[Endpoint]) -> tuple[bool, bool]:
    """Whether connections select another database than 0, and whether they give themselves a
    name.
    """
    selects = any(place_of(endpoint.reached_at)[1] != 0 for endpoint in endpoints)
    return selects, any(endpoint.client_name for endpoint in endpoints)


def _digest(file: Path) -> str:
    """The password in a file, as the server keeps it."""
    try:
        password = read_secret("--password-file", str(file))
    except TlsFileError as error:
        raise RequestError(str(error)) from error
    if not password:
        raise RequestError(f"--password-file {file}: it is empty")
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"

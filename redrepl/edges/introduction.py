"""What is said first on a new connection: who we are, who the node is, and which scripts it has, in
one round trip.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any, Final

import hiredis

from redrepl.edges.admission import MEMBER_FIELDS, Admission, Membership
from redrepl.edges.announced_lists import AnnouncedLists
from redrepl.edges.denials import describe_denial
from redrepl.edges.endpoint import Endpoint, address
from redrepl.edges.opening_errors import describe_reply
from redrepl.edges.scripts import all_scripts
from redrepl.plans.inspect import run_id_in
from redrepl.values.effects import PlainCommand
from redrepl.values.reasons import NOT_OURS, shown_reason
from redrepl.values.report_answer import UNREADABLE

RECEIVE_BYTES = 65536
_MOST_BYTES = 1024 * 1024
_MOST_ANSWER_TIMES = 4.0
"""What an introduction may take: INFO is the longest of its answers, and a node that is far gets
its time for each.
"""

_CLIENT_ID = (b"CLIENT", b"ID")
"""Asked for the case that the connection is lost. A login that may not ask this can do without."""


NOTHING_YET: Final = object()
"""What a reader of answers gives while the next one has not arrived whole: False is an answer of
protocol 3.
"""


class NodeUnusable(Exception):
    """A node could not be reached or does not admit us; the text says why."""


def introduce(
    sock: socket.socket,
    endpoint: Endpoint,
    options: Any,
    admission: Admission,
    timeout_seconds: float,
) -> tuple[Membership, float, int | None]:
    """Log in, select the database, pass the admission check, load missing scripts: what the node
    says, how long it took to say it, in seconds, and what it calls this connection, where the login
    may ask that.

    options: redis-py's connection, for its database and client name. timeout_seconds: for each
    answer. Raises NodeUnusable, and OSError where the connection fails.
    """
    sock.settimeout(timeout_seconds)
    talk = _Talk(sock, endpoint)
    opening = [*_login(endpoint, options), _CLIENT_ID, *_questions(admission)]
    began = time.monotonic()
    answers = talk.ask(opening)
    answered_seconds = time.monotonic() - began
    client_id, fields, information, known = answers[-4:]
    try:
        found = membership_in(fields, _run_id(information))
        client_id = client_id if type(client_id) is int else None
        known = [scripts == 1 for scripts in known]
        if len(known) != len(all_scripts()):
            raise ValueError("not as many scripts as were asked for")
    except UNREADABLE as error:
        raise NodeUnusable(f"{address(endpoint)} {NOT_OURS}") from error
    if (reason := admission.refusal(endpoint.node, found, endpoint.identity)) is not None:
        raise NodeUnusable(f"{address(endpoint)} {reason}")
    _load_scripts(talk, known)
    return found, answered_seconds, client_id


def membership_in(fields: Sequence[bytes | None], actual_run_id: str) -> Membership:
    """The membership as text, whatever bytes stand there: the workers have to reach the node to put
    it right.
    """
    texts = [None if value is None else value.decode(errors="replace") for value in fields]
    cluster, node, state, run_id, identity, lineage = texts
    return Membership(cluster, node, state, run_id, identity, lineage, actual_run_id)


class _Talk:
    """Commands and answers on a socket that blocks."""

    def __init__(self, sock: socket.socket, endpoint: Endpoint) -> None:
        self._sock = sock
        self._endpoint = endpoint
        self._reader = hiredis.Reader(notEnoughData=NOTHING_YET)
        self._lists = AnnouncedLists()
        self._unsent: OSError | None = None
        self._passed_over = ""

    def ask(self, commands: list[tuple[bytes, ...]]) -> list[Any]:
        """Send commands at once and read their answers.

        Raises NodeUnusable for the first error that matters.
        """
        if not commands:
            return []
        self._send(b"".join(map(_packed, commands)))
        answers: list[Any] = []
        received_bytes, until = (
            0,
            time.monotonic() + _MOST_ANSWER_TIMES * (self._sock.gettimeout() or 1.0),
        )
        while len(answers) < len(commands):
            data = self._receive()
            received_bytes += len(data)
            if received_bytes > _MOST_BYTES or time.monotonic() > until:
                raise NodeUnusable(f"{address(self._endpoint)} {NOT_OURS}: an answer without end")
            self._lists.check(data)
            self._reader.feed(data)
            while (answer := self._next_answer()) is not NOTHING_YET:
                if isinstance(answer, hiredis.ReplyError) and len(answers) < len(commands):
                    answer = self._in_place_of(answer, commands[len(answers)])
                answers.append(answer)
                if len(answers) > len(commands):
                    raise NodeUnusable(
                        f"{address(self._endpoint)} {NOT_OURS}: more answers than questions"
                    )
            self._lists.note(data, not self._reader.has_data())
        return answers

    def _send(self, data: bytes) -> None:
        """Send this.

        A server that turns a client away closes while it still sends: what it said is read first.
        """
        try:
            self._sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            self._unsent = error

    def _receive(self) -> bytes:
        """What comes next.

        Raises OSError where the connection ends instead, and NodeUnusable with the server's words
        where the last that came was an error: that tells why.
        """
        ended: OSError = ConnectionResetError("the node closed the connection while it was opened")
        try:
            if data := self._sock.recv(RECEIVE_BYTES):
                return data
        except (BrokenPipeError, ConnectionResetError) as error:
            ended = error
        if self._passed_over:
            raise NodeUnusable(describe_reply(self._endpoint, self._passed_over)) from ended
        raise self._unsent or ended

    def _in_place_of(self, error: hiredis.ReplyError, command: tuple[bytes, ...]) -> Any:
        """What an error to this question comes to. Raises NodeUnusable where it matters."""
        if command is _CLIENT_ID:
            self._passed_over = str(error)
            return None
        if command[0] == b"HMGET" and str(error).startswith("WRONGTYPE"):
            return [None] * len(
                MEMBER_FIELDS
            )  # something else was put there: a member of nothing, as `inspect` finds
        # A server that knows no AUTH says with which arguments it was called.
        said = shown_reason(str(error))
        told = describe_denial(self._endpoint.username, PlainCommand(command), said)
        raise NodeUnusable(describe_reply(self._endpoint, told))

    def _next_answer(self) -> Any:
        """NOTHING_YET where there is no whole one. Raises ProtocolError."""
        try:
            return self._reader.gets()
        except (
            TypeError,
            ValueError,
            MemoryError,
        ) as error:  # a map whose keys cannot be keys, and the like
            raise hiredis.ProtocolError(f"{NOT_OURS}: {error}") from error


def _packed(command: tuple[bytes, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # takes a tuple of bytes
    return packed


def _login(endpoint: Endpoint, options: Any) -> list[tuple[bytes, ...]]:
    """The login, the client's name and the database, as the address and the configuration give
    them.
    """
    commands: list[tuple[bytes, ...]] = []
    password = endpoint.current_password()
    if endpoint.username:
        commands.append((b"AUTH", endpoint.username.encode(), (password or "").encode()))
    elif password:
        commands.append((b"AUTH", password.encode()))
    if options.client_name:
        commands.append((b"CLIENT", b"SETNAME", options.client_name.encode()))
    if options.db:
        commands.append((b"SELECT", b"%d" % int(options.db)))
    return commands


def _questions(admission: Admission) -> list[tuple[bytes, ...]]:
    shas = [script.sha for script in all_scripts().values()]
    return [
        (b"HMGET", admission.layout.member, *MEMBER_FIELDS),
        (b"INFO", b"server"),
        (b"SCRIPT", b"EXISTS", *shas),
    ]


def _run_id(information: bytes) -> str:
    if not (run_id := run_id_in(information)):
        raise NodeUnusable(
            "INFO names no run_id: this server hides it, so that restarts cannot be noticed"
        )
    return run_id


def _load_scripts(talk: _Talk, known: list[int]) -> None:
    missing = [
        script for script, exists in zip(all_scripts().values(), known, strict=True) if not exists
    ]
    shas = talk.ask([(b"SCRIPT", b"LOAD", script.source.encode()) for script in missing])
    for script, sha in zip(missing, shas, strict=True):
        if sha != script.sha:
            raise NodeUnusable(f"script {script.name} was not loaded as it was sent")

"""Answers of the scripts that make members and change them, and of the probe of a write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from redrepl.values.effects import Answer
from redrepl.values.reading import words


class MemberChange(NamedTuple):
    """Whether `change_member` wrote the fields.

    ``found_instead`` says in words how the member is, where it is not as the caller had seen it.
    """

    is_done: bool
    found_instead: str = ""


def parse_change(content: Answer) -> MemberChange:
    """The answer of `change_member`."""
    if content == 1:
        return MemberChange(True)
    if not isinstance(content, list) or len(content) != 3:
        return MemberChange(False, f"unexpected answer {content!r}")
    epoch, state = map(words, content[1:])
    if not state:
        return MemberChange(False, "holds no membership any more")
    return MemberChange(False, f"is {state} in epoch {epoch} by now")


def parse_changes(answers: Mapping[str, Answer]) -> dict[str, MemberChange]:
    """The same of several nodes."""
    return {node: parse_change(content) for node, content in answers.items()}


class Enrolled(NamedTuple):
    """The server is a member now."""


class AlreadyMember(NamedTuple):
    """The server was a member already. ``topology``: as it is stored there, b'' for none."""

    cluster: str
    topology: bytes


class Occupied(NamedTuple):
    """The server belongs to another cluster."""

    cluster: str


def parse_enrolment(content: Answer) -> Enrolled | AlreadyMember | Occupied:
    """The answer of `enrol`."""
    match content:
        case [bytes(verdict), bytes(cluster), _, _, bytes(topology)] if verdict != b"occupied":
            return AlreadyMember(words(cluster), topology)
        case [_, bytes(cluster), *_]:
            return Occupied(words(cluster))
    return Enrolled()


class Probed(NamedTuple):
    """The node took the write of a probe.

    monitor_millis: since a monitor's probe was stored, None where none was.
    denied: in the server's words what this login may not do that a change of epoch needs; '' for
    nothing.
    """

    monitor_millis: int | None
    denied: str


def parse_probe(content: Answer) -> Probed | None:
    """The answer of `probe_write`, None for anything else."""
    match content:
        case [int(millis), bytes(denied)]:
            return Probed(millis if millis >= 0 else None, words(denied))
    return None

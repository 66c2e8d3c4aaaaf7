"""What every plan knows of the cluster: the topology, the key names, and what follows from them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from redrepl.values import limits
from redrepl.values.answers.refusals import TOO_FAR_AHEAD, TOO_OLD, NotAdmitted
from redrepl.values.clocks import describe_time
from redrepl.values.effects import (
    Ask,
    Command,
    Failure,
    PlainCommand,
    Plan,
    Reply,
    Request,
    ScriptCall,
)
from redrepl.values.errors import NotAReplicatedRecord, RedreplError, Unavailable
from redrepl.values.keys import CLUSTERS_KEY, KeyLayout
from redrepl.values.level import ConsistencyLevel, Level, parse_level, required_copies
from redrepl.values.member_state import MemberState
from redrepl.values.reading import words
from redrepl.values.record import TOMBSTONE, Record, parse_record
from redrepl.values.stamp import Stamp
from redrepl.values.topology import Topology

R = TypeVar("R")

ON_ACTIVE = b"active"
WHERE_DECIDED = b"decided"
FOR_UPKEEP = b"upkeep"
"""Where records may be read: on active members alone, on those among them that decide, or for
upkeep on syncing and fenced ones too.
"""

_GROWTH = 4
_IN_DOUBT = "in doubt"
_TWO_TIMES = re.compile(
    r"in doubt: its clock shows ([0-9]{1,16}), the caller's ([0-9]{1,16})"
).fullmatch
"""`refusal_of_time` of the scripts. No time of so many digits is too late for a date."""
_DISCARDED = (limits.DISCARDED_ENTRIES, limits.DISCARDED_BYTES)


SUSPECT_SECONDS = 0.25
"""How long the one primary may take, where it is near, before the others are asked whether the
epoch moved; nearly every answer comes much sooner.
"""


class EpochMoved(RedreplError):
    """A node works in another epoch than the caller's topology: read the topology again and
    repeat.
    """


class Overtaken(EpochMoved):
    """A later epoch began while a node was silent: whether it carried out what it was asked is not
    known.

    ``at``: the driver's clock, in seconds.
    """

    at = 0.0


class Refused(Unavailable):
    """A node is no member, or one of the caller's own epoch that does not serve.

    Who reads looks for another.
    """


class InDoubt(Refused):
    """The primary has nothing under a key, and its clock was ahead: it does not know whether that
    is so.
    """


class ClocksDiffer(InDoubt):
    """A node's clock is far ahead of the caller's, which may be the one that is wrong: the other
    nodes can tell.
    """


class ClusterView:
    """A topology with its key layout, made once per topology."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.layout = KeyLayout(topology.cluster)
        self.epoch = str(topology.epoch).encode()
        self.serving = self.epoch + b" " + MemberState.ACTIVE.encode()
        self.ids = topology.ids
        self.decider = topology.decider
        self.others = {node: topology.others(node) for node in topology.ids}
        self.everybody = frozenset(topology.ids)
        claim = () if self.decider is None else (b"by " + self.decider.encode(),)
        self._by_whom = (claim, (b"decided",))
        self.position_fields = {
            node: topology.position_field(node).encode() for node in topology.ids
        }
        self.from_home = {node: (node, *self.others[node]) for node in topology.ids}
        self.expect_answers_within(0.0)
        self._levels = {
            name: (level, level.required(len(self.ids) - 1))
            for level in ConsistencyLevel
            for name in (level, level.value, level.name)
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def __str__(self) -> str:
        topology = self.topology
        primaries = ",".join(topology.primaries)
        roles = f"primary={self.decider}" if self.decider else f"primaries={primaries}"
        return f"{topology.cluster} {roles} epoch={topology.epoch} nodes={','.join(self.ids)}"

    def expect_answers_within(self, seconds: float) -> None:
        """Suspect the one primary when it has taken longer than its answers usually do (0: not
        known).
        """
        self.suspect_seconds = suspect_seconds(seconds)
        self.patience_seconds = (
            self.suspect_seconds if self.decider and len(self.ids) > 1 else float("inf")
        )

    def resolve_level(self, level: Level) -> tuple[ConsistencyLevel | int, int]:
        """A level, and how many other copies must confirm at it.

        Raises RequestError as `required_copies` does.
        """
        known = self._levels.get(level) if isinstance(level, (ConsistencyLevel, str)) else None
        if known is not None:
            return known
        parsed = parse_level(level)
        return parsed, required_copies(parsed, len(self.ids) - 1)

    def write_call(
        self, key: bytes, record: bytes, is_smaller: bool = False, is_decided: bool = False
    ) -> ScriptCall:
        """Store an encoded record under a user's key: at full memory too where it is a tombstone,
        or ``is_smaller``.

        is_decided: a primary holds it; the copies take it then whatever their clocks say. Else the
        primary is named, so that no replica passes for it where a topology was made up.
        """
        layout = self.layout
        script = "write_oom" if is_smaller or record[22:23] == TOMBSTONE else "write"
        keys = (layout.member, layout.log, layout.data_prefix + key)
        return ScriptCall(script, keys, (self.epoch, record, *self._by_whom[is_decided]))

    def write_many_call(
        self,
        keys: Sequence[bytes],
        records: Sequence[bytes],
        are_smaller: bool = False,
        are_decided: bool = False,
    ) -> ScriptCall:
        """Store encoded records under as many users' keys: at full memory too where all are
        tombstones, or ``are_smaller``. are_decided: as in `write_call`.
        """
        layout = self.layout
        are_smaller = are_smaller or all(record[22:23] == TOMBSTONE for record in records)
        script = "write_many_oom" if are_smaller else "write_many"
        names = tuple(layout.data_prefix + key for key in keys)
        by_whom = self._by_whom[are_decided]
        return ScriptCall(
            script, (layout.member, layout.log, *names), (self.epoch, *records, *by_whom)
        )

    def get_command(self, name: bytes) -> PlainCommand:
        """The guard and one record, in one command: see `check_serving`."""
        return PlainCommand((b"MGET", self.layout.guard, name))

    def get_many_command(self, names: Iterable[bytes]) -> PlainCommand:
        """The guard and records."""
        return PlainCommand((b"MGET", self.layout.guard, *names))

    def check_serving(self, guard: bytes | None, node: str) -> None:
        """Raise EpochMoved or Refused for a node whose guard is not that of an active member of
        this epoch.
        """
        if guard != self.serving:
            epoch, _, state = (guard or b"").partition(b" ")
            if epoch and not (epoch.isdigit() and len(epoch) < _EPOCH_DIGITS):
                text = (
                    f"the guard key of node {node!r} was overwritten by another program; the "
                    "workers restore it"
                )
                raise Refused(text, {node: "its guard key was overwritten"})
            raise not_admitted_error(NotAdmitted(words(epoch), words(state)), node, self.epoch)

    def read_call(
        self, names: Iterable[bytes], where: bytes = ON_ACTIVE, now_micros: int | None = None
    ) -> ScriptCall:
        """Records under these names, of which one answer holds the first, at least one: see
        `keys_to_ask`.

        now_micros: a client's clock, by which a node may notice that its own is ahead.
        """
        caller = () if now_micros is None else (now_micros,)
        return ScriptCall(
            "read_many",
            (self.layout.member, *names),
            (self.epoch, where, limits.BATCH_BYTES, *caller),
        )

    def headers_call(self, names: Iterable[bytes], where: bytes = ON_ACTIVE) -> ScriptCall:
        """Headers of the records under these names."""
        return ScriptCall("headers", (self.layout.member, *names), (self.epoch, where))

    def replace_call(
        self, name: bytes, standing: Stamp | None, record: bytes, why: bytes
    ) -> ScriptCall:
        """Replace exactly one record (None: nothing) by another, keeping the one that goes in the
        discarded log.
        """
        layout = self.layout
        keys = (layout.member, layout.log, layout.discarded, name)
        expected = b"" if standing is None else standing.encode()
        return ScriptCall("replace", keys, (self.epoch, expected, record, why, *_DISCARDED))

    def purge_call(self, tombstones: Mapping[bytes, Stamp], before_micros: int) -> ScriptCall:
        """Remove exactly these tombstones, which are older than that."""
        stamps = [stamp.encode() for stamp in tombstones.values()]
        return ScriptCall(
            "purge", (self.layout.member, *tombstones), (self.epoch, before_micros, *stamps)
        )

    def record_at(self, node: str, name: bytes, stored: bytes) -> Record:
        """Read a stored record. Raises NotAReplicatedRecord naming key and node."""
        try:
            return parse_record(stored)
        except ValueError as error:
            raise foreign_value(self.layout, node, name) from error


def suspect_seconds(usual_seconds: float) -> float:
    """After how long something is wrong with nodes whose answers usually come within
    ``usual_seconds``.
    """
    return min(max(SUSPECT_SECONDS, usual_seconds), limits.LONGEST_SUSPECT_SECONDS)


def keys_to_ask(answered: int) -> int:
    """For how many records to ask after an answer of so many: where they are large, few names go in
    vain, and the node looks at each record's length before it reads it.
    """
    return min(limits.BATCH_KEYS, _GROWTH * answered)


def inspect_keys(layout: KeyLayout) -> tuple[bytes, ...]:
    """The keys of the `inspect` script."""
    own = (layout.member, layout.log, layout.cursors, layout.marks, layout.topology)
    return (*own, CLUSTERS_KEY, layout.checkpoints, layout.sweep, layout.guard)


def foreign_value(layout: KeyLayout, node: str, name: bytes) -> NotAReplicatedRecord:
    """The error for a value that redrepl did not write."""
    key = layout.user_key(name)
    return NotAReplicatedRecord(
        f"key {key!r} on node {node!r} holds a value that redrepl did not write (stored as "
        f"{name!r}); it was left "
        f"as it is: move or delete it there to use this key",
        {node: "foreign value"},
    )


def ask(node: str, command: Command, until: float) -> Ask:
    """A question to one node."""
    return Ask((Request(node, command),), until)


def pause(until: float) -> Plan[None]:
    """Let time pass.

    What is still owed to earlier questions is no longer wanted, and does not end it early.
    """
    yield Ask((), until)


def expect_reply(event: object, node: str, doing: str) -> Reply:
    """The reply in what happened to a question to one node.

    Raises Unavailable saying what could not be done.
    """
    if isinstance(event, Reply):
        return event
    reason = event.reason if isinstance(event, Failure) else "no answer in time"
    raise Unavailable(f"{doing} failed on node {node!r}", {node: reason})


def admitted(answer: R | NotAdmitted, node: str, epoch: bytes) -> R:
    """What a node returned that admitted the caller.

    Raises EpochMoved where the node is in another epoch than the caller's, which ``epoch`` is, else
    Refused.
    """
    if isinstance(answer, NotAdmitted):
        raise not_admitted_error(answer, node, epoch)
    return answer


def not_admitted_error(refused: NotAdmitted, node: str, epoch: bytes) -> RedreplError:
    """The error for a script's refusal. ``epoch``: the caller's."""
    found, state = refused
    if not found:
        text = (
            f"node {node!r} holds no membership: it was taken out or emptied (FLUSHALL), or "
            "came back empty"
        )
        return Refused(text, {node: "no membership"})
    evidence = {node: f"epoch {found}, {state}"}
    if found.encode() != epoch:
        return EpochMoved(
            f"node {node!r} is in epoch {found}, the caller in epoch {epoch.decode()}", evidence
        )
    if (times := _TWO_TIMES(state)) is not None:
        return _clocks_differ(node, found, int(times[1]), int(times[2]))
    if MemberState.parse(state).serves:
        text = (
            f"node {node!r} is a replica in epoch {found}: the topology that has it decide was "
            "made up"
        )
        return Refused(text, evidence)
    if state.startswith(_IN_DOUBT):
        return InDoubt(f"node {node!r} is {state} and does not serve", evidence)
    return Refused(f"node {node!r} is {state} and does not serve", evidence)


def _clocks_differ(node: str, epoch: str, shown_micros: int, own_micros: int) -> ClocksDiffer:
    ahead = f"{(shown_micros - own_micros) / 1e6:.1f} s ahead"
    return ClocksDiffer(
        f"node {node!r} gives no answer: its clock shows {describe_time(shown_micros)}, {ahead} "
        "of the "
        f"{describe_time(own_micros)} that this program goes by, which takes its time from the "
        "nodes where a majority "
        "of them agrees: compare their clocks",
        {node: f"epoch {epoch}, its clock is {ahead} of this program's"},
    )


_EPOCH_DIGITS = 10


def is_clock_refusal(reason: str) -> bool:
    """Whether the reason that a refusal gives (`values/answers/writes.py`) is about the clocks."""
    return reason.startswith((TOO_OLD, TOO_FAR_AHEAD))


def epoch_in_refusal(reason: str) -> int:
    """The epoch of a member that refused, whatever its state, from the reason that its refusal
    gives; else 0.
    """
    found = re.match(r"refused: epoch ([0-9]{1,9}), ", reason)
    return int(found[1]) if found else 0

"""What a node tells about itself: membership, change log, and how far logs have been confirmed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from redrepl.values import limits
from redrepl.values.clocks import ClockReading
from redrepl.values.member_state import MemberState
from redrepl.values.reading import entry_id, whole_number
from redrepl.values.reasons import is_out_of_memory
from redrepl.values.topology import Topology

LOG_START = "0-0"

ABOVE_LOG_START = "0-1"
"""As the floor of an empty log: it is not complete since its beginning."""

_DROPPED = re.compile(r"([0-9]{1,9}) ").fullmatch
"""What `disown.lua` leaves of a guard: the epoch, and no state."""

LOG_BEGINS = "start"
"""In place of an incarnation: the log leaves out what was before its beginning."""


class Position(NamedTuple):
    """A place in a node's change log: a stream id, and how many entries were ever added up to
    it.
    """

    id: str
    entries: int

    @property
    def order(self) -> tuple[int, int]:
        """Comparable form of the id."""
        return id_order(self.id)


class Cursor(NamedTuple):
    """Kept at the source: how far its log is confirmed on another node, and when that was noted
    (its clock).
    """

    position: Position
    at_millis: int


class Mark(NamedTuple):
    """Kept at the target, moved in the same step as the data: how far another node's log is
    here.
    """

    incarnation: str
    position: Position


class Checkpoint(NamedTuple):
    """Kept at a replica: all that its own log names up to ``position`` is in the primary's log up
    to ``mark``.

    It was found so in this epoch, of the replica's log with this incarnation. Who has the primary's
    log up to the mark therefore has the replica's up to the position.
    """

    incarnation: str
    position: Position
    primary: str
    mark: Mark
    epoch: int

    def encode(self) -> bytes:
        """One line of text, as it is stored."""
        own = f"{self.incarnation} {self.position.id} {self.position.entries}"
        other = (
            f"{self.primary} {self.mark.incarnation} {self.mark.position.id} "
            f"{self.mark.position.entries}"
        )
        return f"{own} {other} {self.epoch}".encode()

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read what `encode` wrote. Raises ValueError on anything else."""
        incarnation, stream_id, count, primary, other, other_id, other_count, epoch = text.split()
        mark = Mark(other, Position(entry_id(other_id), whole_number(other_count)))
        return cls(
            incarnation,
            Position(entry_id(stream_id), whole_number(count)),
            primary,
            mark,
            whole_number(epoch),
        )


class Voided(NamedTuple):
    """A server that counts no more: noted on who was moved to an epoch in which its place goes to
    another one.
    """

    epoch: int
    node: str
    identity: str

    def encode(self) -> str:
        """As it is stored."""
        return f"{self.epoch} {self.node} {self.identity}"


class Log(NamedTuple):
    """A node's change log.

    ``added`` counts all entries since it began, cut ones too.

    last_id: the last id that was given; newest_id: that of the newest entry. They differ where one
    was taken back.
    """

    length: int
    last_id: str
    added: int
    first_id: str
    newest_id: str = ""

    @property
    def end(self) -> Position:
        """The place of the newest entry."""
        return Position(self.last_id, self.added)


class LastEntry(NamedTuple):
    """The newest entry of a log when somebody looked ('' where there was none), and whose log that
    was.

    former: incarnations that this member's log had before, as far as they are known; one never has
    the same again.
    """

    identity: str
    incarnation: str
    entry_id: str
    former: tuple[str, ...] = ()


RULE_MERGE = "merge"
"""How a node treats records where there are several primaries: see `write.lua`."""

FORGOT = "forgot"
"""In place of the run id under which a member was admitted, with the time at which that was noted,
where it lost memory while its server went on: from then on all see in it a server that restarted.
"""

FORMER_INCARNATIONS = 100
"""Of one member's log that are remembered."""


AsFound = tuple[bytes, bytes, bytes, bytes]
"""Epoch, state, run id and identity as they stand in a member hash, b'' for what is not there."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node's answer to `inspect`, with the run id that INFO gives.

    ``member`` is empty on a stranger.

    named: the identity that the newest topology gives this node, None where it names no such node,
    or none is known.
    cursors, marks: by node, as `seen_by` finds them.
    uptime_seconds, databases: of a stranger, how long its server has run (None: not known) and
    which of its databases hold keys.
    guard: what reads at ONE find beside a record, '' for nothing that they could use, None where
    that was not asked.
    clock: what the node's clock was ahead of the asking driver's monotonic clock.
    lost: an entry that whoever asked had seen in this log, where it is not there any more.
    refusal: in the server's own words why it takes no writes, '' where it does, None where it was
    not asked to.
    denied: in a server's words what the login that asked may not do here that a change of epoch
    needs, '' for nothing.
    monitor_seconds: since a monitor asked it that, as far as is noted there; None where none did,
    or it was not asked.
    """

    node: str
    member: dict[str, str]
    run_id: str
    log: Log
    cursors: dict[str, Cursor]
    marks: dict[str, Mark]
    topology: Topology | None
    now_millis: int
    clusters: dict[str, str]
    checkpoints: tuple[Checkpoint, ...] = ()
    sweep: Mapping[str, str] = field(default_factory=dict)
    uptime_seconds: int | None = None
    databases: tuple[str, ...] = ()
    named: str | None = None
    clock: ClockReading | None = None
    guard: str | None = None
    lost: LastEntry | None = None

    def seen_by(self, topology: Topology) -> NodeReport:
        """The report as it counts in a topology: cursors and marks of its members, and of no other
        servers.
        """
        fields = {topology.position_field(node): node for node in topology.ids}
        return replace(
            self,
            named=topology.identities.get(self.node),
            cursors={
                fields[name]: cursor for name, cursor in self.cursors.items() if name in fields
            },
            marks={fields[name]: mark for name, mark in self.marks.items() if name in fields},
        )

    @property
    def identity(self) -> str:
        """Which server this is: drawn when it was enrolled.

        '' for a stranger, and in clusters made before.
        """
        return self.member.get("identity", "")

    refusal: str | None = None
    denied: str = ""
    monitor_seconds: float | None = None

    @property
    def as_found(self) -> AsFound:
        """What tells this membership from any other at the same address."""
        epoch, state, run_id = (self.member.get(name, "") for name in ("epoch", "state", "run_id"))
        return (epoch.encode(), state.encode(), run_id.encode(), self.identity.encode())

    @property
    def own_topology(self) -> Topology | None:
        """The topology that it was told; None where none can have been: one of a later epoch than
        it works in, or of the other kind of cluster than its records are kept by.
        """
        told = self.topology
        if told is None or told.epoch > self.epoch:
            return None
        rule = self.member.get("rule")
        return told if rule is None or (rule == RULE_MERGE) == (told.decider is None) else None

    @property
    def takes_writes(self) -> bool:
        """Whether nothing is known against writing to it."""
        return not self.refusal

    @property
    def takes_bookkeeping(self) -> bool:
        """Whether it can be fenced, and given a role: at full memory too, but not where it refuses
        to write at all, or to this login.
        """
        return not self.denied and (not self.refusal or is_out_of_memory(self.refusal))

    @property
    def epoch(self) -> int:
        """The epoch the node works in, 0 for a stranger."""
        return int(self.member.get("epoch", "0"))

    @property
    def state(self) -> MemberState:
        """The member's state, NONE for a stranger."""
        return MemberState.parse(self.member.get("state"))

    @property
    def lineage(self) -> int:
        """The last epoch in which the node was active: whose records it holds.

        0 where it never was.
        """
        return int(self.member.get("lineage", "0"))

    @property
    def era(self) -> int:
        """The epoch of the last merge before its lineage: since then no member has given anything
        up.
        """
        return int(self.member.get("era", self.lineage))

    @property
    def is_newcomer(self) -> bool:
        """Whether the node was added and has never been active since: it has confirmed nothing to
        anybody.

        One that came back empty may have; it is enrolled without this word.
        """
        is_known = "joined" in self.member and self.is_itself and not self.has_restarted
        return is_known and not self.state.serves and self.lineage == 0

    @property
    def incarnation(self) -> str:
        """Identifies this log: another one after every restart."""
        return self.member.get("incarnation", "")

    @property
    def has_lost_log(self) -> bool:
        """Whether its log is shorter than what the node itself has noted of it: others have
        confirmed more entries than it ever had, or it was cut up to a place that it does not reach.

        Log and notes are of one moment: somebody deleted the log, or put an older one in its place.
        """
        if (
            self.log_floor not in (LOG_START, ABOVE_LOG_START)
            and id_order(self.log_floor) > self.log.end.order
        ):
            return True
        return any(cursor.position.entries > self.log.added for cursor in self.cursors.values())

    def last_entry_after(self, before: LastEntry | None) -> LastEntry | None:
        """What whoever looks again and again is to ask for next.

        ``before``: what they asked for.
        """
        if self.lost is not None or not self.member:
            return before
        former = [self.member.get("previous_incarnation", "")]
        if before is not None and before.identity == self.identity:
            former += [*before.former, before.incarnation]
        known = tuple(dict.fromkeys(name for name in former if name not in ("", self.incarnation)))
        return LastEntry(
            self.identity, self.incarnation, self.log.newest_id, known[-FORMER_INCARNATIONS:]
        )

    def lacks(self, seen: LastEntry, is_there: bool) -> bool:
        """Whether what was seen of this log was lost since.

        ``is_there``: whether the log holds that entry.

        An entry that is not there may have been cut: then it lies before the floor.
        """
        if seen.identity != self.identity or not self.incarnation:
            return False
        if seen.incarnation != self.incarnation:
            return self.incarnation in seen.former
        return (
            bool(seen.entry_id)
            and not is_there
            and id_order(seen.entry_id) >= id_order(self.log_floor)
        )

    @property
    def has_restarted(self) -> bool:
        """Whether the server was started anew since the node was admitted.

        A log that is gone counts as that: what else went with it is not known; neither is that
        where an entry is gone that whoever asked had seen there.
        """
        return bool(self.member) and (
            not self._is_same_run or self.has_lost_log or self.lost is not None
        )

    @property
    def _is_same_run(self) -> bool:
        return self.member.get("run_id") == self.run_id

    @property
    def misses_entry(self) -> bool:
        """Whether its log lost what whoever asked had seen there, although its server went on: it
        forgot.
        """
        return self.lost is not None and self._is_same_run and self.is_itself

    @property
    def has_returned(self) -> bool:
        """Whether it restarted in this epoch, and was admitted again without too many others.

        A later epoch may have begun with it, and that it serves in this one shows nothing: it may
        have lost what it knew of that.
        """
        return bool(self.member) and self.member.get("returned") == self.member.get("epoch")

    def has_stepped_ahead(self, now_micros: int, at: float) -> bool:
        """Whether the node's clock, which showed ``now_micros`` before ``at`` (the asking driver's
        clock, seconds), is ahead of what it was at this look, by more than is tolerated.

        It may have dropped records since.
        """
        return (
            self.clock is not None
            and now_micros / 1e6 - at > self.clock.most + self.max_skew_seconds
        )

    def has_stepped_since(self, before: NodeReport) -> bool:
        """Whether the node's clock is ahead of what it was at an earlier look of the same driver,
        by more than is tolerated.

        What the node lacks by now may have been dropped.
        """
        if self.clock is None or before.clock is None:
            return False
        return self.clock.least > before.clock.most + self.max_skew_seconds

    @property
    def has_lost_guard(self) -> bool:
        """Whether somebody deleted or overwrote the guard: it is written with the membership, and
        says the same.
        """
        return bool(self.member) and self.guard not in (None, f"{self.epoch} {self.state}")

    @property
    def dropped_epoch(self) -> int:
        """The epoch of which a server told before its bookkeeping was dropped as untrue, as it has
        no place since; 0 for none.
        """
        found = None if self.member else _DROPPED(self.guard or "")
        return int(found[1]) if found else 0

    @property
    def has_forgotten(self) -> bool:
        """Whether it was found to have lost memory while its server went on, and was not brought up
        since.

        Its marks say nothing: what was under way to it may have moved them beyond what went.
        """
        return self.member.get("run_id", "").split(" ")[0] == FORGOT

    @property
    def restart(self) -> str:
        """What happened to one that `has_restarted`, in words."""
        if self.has_forgotten or self.misses_entry:
            return "forgot while its server went on"
        return "lost its change log" if self.has_lost_log else "restarted"

    @property
    def is_serving(self) -> bool:
        """Whether clients are admitted."""
        return self.state.serves and not self.has_restarted and self.is_itself

    @property
    def is_itself(self) -> bool:
        """Whether the server at this node's address is this member, and not another server,
        whatever its name.
        """
        return self.member.get("node") == self.node and self.named in (None, self.identity)

    @property
    def may_be_outdated(self) -> bool:
        """Whether it may have older records than it once confirmed: it restarted, or is being
        filled anew.
        """
        return self.has_restarted or self.lineage == 0

    @property
    def voided(self) -> Voided | None:
        """The server that a change of members takes out, as long as this node knows only the
        members before.

        It is noted in the step that moves the node to that epoch; of a later one somebody else
        noted it.
        """
        epoch, _, rest = self.member.get("voided", "").partition(" ")
        if not epoch or whole_number(epoch) > self.epoch:
            return None
        if self.topology is not None and self.topology.epoch >= whole_number(epoch):
            return None
        node, _, identity = rest.partition(" ")
        return Voided(whole_number(epoch), node, identity)

    @property
    def log_gap(self) -> str:
        """After what its log leaves out deletes that were purged elsewhere: LOG_BEGINS, or an
        earlier incarnation.

        '' where it leaves out nothing.
        """
        return self.member.get("log_gap", "")

    @property
    def log_end(self) -> Position:
        """Where its log ends.

        An empty log that is not complete since its beginning ends at its floor.
        """
        end = self.log.end
        return (
            end if end.order >= id_order(self.log_floor) else Position(self.log_floor, end.entries)
        )

    @property
    def log_floor(self) -> str:
        """Entries before this id may have been cut."""
        return self.member.get("log_floor", LOG_START)

    @property
    def purged_before(self) -> int:
        """Microseconds before which tombstones may have been purged here; 0 where none were.

        Never within the last ``max_age``: a limit beyond that was left by a clock that was ahead.
        """
        noted = int(self.member.get("purged_before", "0"))
        return min(noted, self.now_millis * 1000 - int(self.member.get("max_age_micros", "0")))

    @property
    def max_skew_seconds(self) -> float:
        """By how much clocks may differ."""
        return self.max_skew_micros / 1e6

    @property
    def max_skew_micros(self) -> int:
        """The same in microseconds."""
        return int(self.member.get("max_skew_micros", limits.DEFAULT_MAX_SKEW_SECONDS * 1e6))

    @property
    def max_age_micros(self) -> int:
        """The age beyond which the node takes no write as primary."""
        return int(self.member.get("max_age_micros", limits.DEFAULT_MAX_AGE_SECONDS * 1e6))

    @property
    def clock_off(self) -> str:
        """How far its clock was off when it was set aside for that, in words; '' where it has been
        compared since.
        """
        return self.member.get("clock_off", "")

    @property
    def latest_millis(self) -> int:
        """The latest time that its clock is known to have shown.

        Ids of a log never go back; and a primary notes its time where it refuses somebody by it.
        """
        return max(
            id_order(self.log.last_id)[0],
            int(self.member.get("clock_latest", "0")),
            self.now_millis,
        )

    @property
    def clock_checked(self) -> int:
        """The latest time of its clock when it was compared with the others for that last,
        milliseconds; 0: never.
        """
        return int(self.member.get("clock_checked", "0"))

    @property
    def was_ahead_seconds(self) -> float:
        """How far its clock was ahead of what it is now, by more than clocks may differ; 0 where it
        was not, or where the node was compared with the others since.
        """
        latest = self.latest_millis
        ahead = (latest - self.now_millis) / 1000
        return ahead if latest > self.clock_checked and ahead > self.max_skew_seconds else 0.0

    @property
    def is_in_doubt(self) -> bool:
        """Whether it may have dropped records by a wrong clock, and was not compared with the
        others since.
        """
        return bool(self.clock_off or self.was_ahead_seconds)

    @property
    def settled_epoch(self) -> int:
        """The last epoch of which it is noted here, on the primary, that a majority of the members
        knows them.

        Before the first change of members nobody can know others.
        """
        return int(self.member.get("settled", "1"))

    def lag_of(self, target: str) -> int:
        """Entries of this log that are not confirmed on another node."""
        cursor = self.cursors.get(target)
        if cursor is not None and cursor.position.entries > self.log.added:
            return max(1, self.log.added)  # the log is another one than was confirmed
        return max(0, self.log.added - (cursor.position.entries if cursor else 0))


class Configured(NamedTuple):
    """A node of a configuration. found: what answers at its url, where that is another one than the
    cluster's.
    """

    node: str
    url: str
    found: NodeReport | str | None


def id_order(stream_id: str) -> tuple[int, int]:
    """A stream id in comparable form."""
    millis, _, sequence = stream_id.partition("-")
    return int(millis), int(sequence or 0)

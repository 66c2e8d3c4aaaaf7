"""What happens to a cluster, as one program sees it: a method per fact, for logs, metrics and
alarms.

`Observer` is silent. `redrepl.LoggingObserver` writes the facts to loggers, and is what a
coordinator, an administration and a worker use unless another observer is given. docs/observing.md
has the table of facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from redrepl.values.receipt import Outcome


class Part(StrEnum):
    """Which part of a program saw a fact. A worker has three: each has connections of its own."""

    CLIENT = "client"
    ADMINISTRATION = "administration"
    TICK = "tick"
    MONITOR = "monitor"
    JOBS = "jobs"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact comes from.

    cluster: the cluster's name. epoch: the newest epoch that this part of the program knew when it
    happened, 0 before it knew any. part: which part of the program saw it.
    """

    cluster: str
    epoch: int
    part: Part


class Observer:
    """Told what happens. This class ignores everything: subclass it and override what is of
    interest.

    Every method is called by a thread that belongs to the library, never by the thread or event
    loop in which the fact happened, and shortly after it. The facts of one coordinator,
    administration or part of a worker come in the order in which they happened, one at a time. An
    observer that is given to several of them may be called by several threads at once.

    Nothing waits for an observer. One that raises is logged once for each kind of error, and the
    fact is dropped. One that blocks gets what it missed later; beyond `limits.MAX_WAITING_FACTS`
    facts are dropped and counted (`facts_dropped`). A coordinator's ``close()`` and the end of the
    interpreter give it a moment for what is left.

    ``source`` comes by position, everything else by keyword; later versions add methods and fields
    of `Source`, but no arguments. ``why`` is a sentence for people. No argument holds a password or
    a value; only those of writes hold keys.
    """

    # Connections ----------------------------------------------------------------------------------

    def connection_opened(self, source: Source, /, *, node: str, address: str) -> None:
        """A connection to a node was opened and admitted. Noted by the thread that opened it.

        address: host and port, or the path of the socket.
        """

    def connection_lost(self, source: Source, /, *, node: str, why: str) -> None:
        """A connection failed in use and is not used again. Another one is opened when the node is
        next needed.

        Noted by the thread, or the event loop, that used it. Not called when the program closes it.
        """

    def node_unavailable(self, source: Source, /, *, node: str, why: str) -> None:
        """A node went out of use: no connection can be opened, or it does not admit this program.

        Called once, and again where the kind of reason changes. Noted by the thread that tried to
        open a connection, or that dropped one on which the node misbehaved.
        """

    def node_available(self, source: Source, /, *, node: str, away_seconds: float) -> None:
        """A node for which `node_unavailable` was called is in use again. Noted by the thread that
        opened a connection.

        away_seconds: since that call.
        """

    # The cluster ----------------------------------------------------------------------------------

    def epoch_changed(
        self,
        source: Source,
        /,
        *,
        old: int,
        new: int,
        primary: str | None,
        members: tuple[str, ...],
    ) -> None:
        """A newer topology is used from now on: a failover, or other members. Noted by the thread
        that adopted it.

        old: 0 where this is the first one that this part of the program knows. primary: None with
        several primaries.
        """

    def member_state_changed(
        self,
        source: Source,
        /,
        *,
        node: str,
        old: str,
        new: str,
        why: str,
    ) -> None:
        """An administration or worker found a member in another state than when it looked before.

        old, new: ``active``, ``syncing``, ``fenced`` or what else the member calls it;
        ``restarted`` where its server is another run than the one that was admitted; ``no member``
        where the server knows of no membership; ``silent`` where it gave no report; ``unknown``
        before the first look. why: the reason for a silence, else "". Noted by the thread that
        looked.
        """

    # Failover -------------------------------------------------------------------------------------

    def failover_begun(
        self,
        source: Source,
        /,
        *,
        primary: str | None,
        to: str | None,
        why: str,
    ) -> None:
        """The primary's role is about to be moved. Noted by the thread that moves it.

        primary: the member that has the role, None where that is not known yet. to: the one that is
        to get it, None for the fittest.
        """

    def failover_step(self, source: Source, /, *, step: str, done: int, total: int | None) -> None:
        """A failover has come this far. Noted by the thread that moves the role.

        step: in words, with the members that it is about. done, total: how many members these are,
        of how many; or how many records were copied, None where it is not known of how many.
        """

    def failover_decided(
        self,
        source: Source,
        /,
        *,
        primary: str,
        previous: str,
        new_epoch: int,
        serving: tuple[str, ...],
        seconds: float,
    ) -> None:
        """The role was moved from ``previous`` to ``primary``. Noted by the thread that moved it.

        new_epoch: the one that began. serving: members that serve in it already. seconds: how long
        it took.
        """

    def failover_refused(self, source: Source, /, *, primary: str | None, why: str) -> None:
        """The role was not moved, for this reason. Noted by the thread that was to move it."""

    # Bringing a member to the others' state -------------------------------------------------------

    def resync_began(self, source: Source, /, *, node: str, why: str) -> None:
        """A member is being brought to the state of the others. Noted by the thread that does it.

        why: what asked for it, in a word or two.
        """

    def resync_progress(
        self,
        source: Source,
        /,
        *,
        node: str,
        stage: str,
        done: int,
        total: int | None,
    ) -> None:
        """A batch of a resync is done. Noted by the thread that does it.

        stage: between which members, or what is waited for. done, total: log entries or keys; None
        where not known.
        """

    def resync_ended(
        self,
        source: Source,
        /,
        *,
        node: str,
        finished: bool,
        entries: int,
        records: int,
        admitted: bool,
        why: str,
    ) -> None:
        """A resync ended. Noted by the thread that did it.

        finished: False where more is left to do. entries, records: log entries gone through and
        records stored. admitted: the member serves again since this. why: remarks, or the error
        that ended it; "" where there is none.
        """

    # Writes and reads -----------------------------------------------------------------------------

    def write_in_doubt(
        self,
        source: Source,
        /,
        *,
        node: str,
        keys: tuple[str | bytes, ...],
        stamp: str,
        why: str,
    ) -> None:
        """Writes whose first attempt did not end in a commit are followed up. Noted by the thread
        of the operation.

        node: the primary that they were sent to. keys: those of one request. stamp: of the first of
        them.
        """

    def write_looked_up(
        self,
        source: Source,
        /,
        *,
        node: str,
        keys: tuple[str | bytes, ...],
        stamp: str,
    ) -> None:
        """A primary is asked what became of writes in doubt. Noted by the operation's thread."""

    def write_sent_again(
        self,
        source: Source,
        /,
        *,
        node: str,
        keys: tuple[str | bytes, ...],
        stamp: str,
    ) -> None:
        """Writes that certainly had no effect are sent again. Noted by the operation's thread."""

    def write_resolved(
        self,
        source: Source,
        /,
        *,
        keys: tuple[str | bytes, ...],
        stamp: str,
        outcome: Outcome,
        why: str,
    ) -> None:
        """It is known what became of writes in doubt, or it is given up with the operation's
        deadline.

        outcome: UNKNOWN where they may still take effect, or have had one. why: "" where they are
        committed. Noted by the thread of the operation.
        """

    def read_repaired(self, source: Source, /, *, node: str, records: int) -> None:
        """A confirmed read found copies that lagged, and sent them records. Noted by the thread of
        the read.

        node: whose records they are.
        """

    def record_restored(self, source: Source, /, *, node: str, records: int) -> None:
        """A confirmed read gave a primary back records that it had lost and others hold. Noted by
        the thread of the read.
        """

    def wake_up_failed(self, source: Source, /, *, queue: str, why: str) -> None:
        """The workers could not be woken through the queue; their tick does the work a moment
        later.

        Called once until the queue takes a wake-up again. queue: its address. Noted by the thread
        that sends wake-ups.
        """

    # The observer itself --------------------------------------------------------------------------

    def facts_dropped(self, source: Source, /, *, count: int) -> None:
        """Facts were dropped just before this one (``count`` of them): the observer took longer for
        them than they kept coming.
        """

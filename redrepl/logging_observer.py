"""The observer that is used unless another one is given: it writes facts to loggers."""

from __future__ import annotations

import logging
from typing import Final

from redrepl.observe import Observer, Part, Source
from redrepl.values.receipt import Outcome

logging.getLogger("redrepl").addHandler(logging.NullHandler())

_connection = logging.getLogger("redrepl.connection")
_cluster = logging.getLogger("redrepl.cluster")
_failover = logging.getLogger("redrepl.failover")
_sync = logging.getLogger("redrepl.sync")
_client = logging.getLogger("redrepl.client")

SHOWN_KEY_CHARACTERS: Final = 100
"""A longer key is cut in the log."""


class LoggingObserver(Observer):
    """Writes facts to the loggers ``redrepl.connection``, ``.cluster``, ``.failover``, ``.sync``
    and ``.client``.

    Says nothing unless the program configures logging. WARNING: a client lost the use of a node,
    wake-ups fail, a failover was refused, a primary had lost records. INFO: a node is available
    again, the epoch changed, a failover. DEBUG: every step. In a worker, where three parts meet the
    same thing, the monitor alone logs changes of epoch above DEBUG, and what is wrong with nodes is
    said by ``redrepl.worker``.
    """

    def connection_opened(self, source: Source, /, *, node: str, address: str) -> None:
        """See `Observer`; DEBUG."""
        _say(_connection, logging.DEBUG, source, "node %s: connection to %s opened", node, address)

    def connection_lost(self, source: Source, /, *, node: str, why: str) -> None:
        """See `Observer`; DEBUG."""
        _say(_connection, logging.DEBUG, source, "node %s: connection lost: %s", node, why)

    def node_unavailable(self, source: Source, /, *, node: str, why: str) -> None:
        """See `Observer`; WARNING for a client."""
        level = logging.WARNING if source.part is Part.CLIENT else logging.DEBUG
        _say(_connection, level, source, "node %s: unavailable: %s", node, why)

    def node_available(self, source: Source, /, *, node: str, away_seconds: float) -> None:
        """See `Observer`; INFO for a client."""
        level = logging.INFO if source.part is Part.CLIENT else logging.DEBUG
        _say(
            _connection,
            level,
            source,
            "node %s: available again, after %.1f s",
            node,
            away_seconds,
        )

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
        """See `Observer`; INFO for a client and the monitor, but DEBUG for the first epoch that
        they know.
        """
        is_news = old > 0 and source.part in (Part.CLIENT, Part.MONITOR)
        role = "several primaries" if primary is None else f"primary {primary}"
        text = "epoch %d -> %d: %s, members %s"
        _say(
            _cluster,
            logging.INFO if is_news else logging.DEBUG,
            source,
            text,
            old,
            new,
            role,
            ", ".join(members),
        )

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
        """See `Observer`; DEBUG."""
        _say(
            _cluster,
            logging.DEBUG,
            source,
            "node %s: %s -> %s%s",
            node,
            old,
            new,
            f": {why}" if why else "",
        )

    def failover_begun(
        self,
        source: Source,
        /,
        *,
        primary: str | None,
        to: str | None,
        why: str,
    ) -> None:
        """See `Observer`; INFO."""
        text = "failover begun: from %s to %s: %s"
        _say(
            _failover,
            logging.INFO,
            source,
            text,
            primary or "the primary",
            to or "the fittest member",
            why,
        )

    def failover_step(self, source: Source, /, *, step: str, done: int, total: int | None) -> None:
        """See `Observer`; DEBUG."""
        of_how_many = "" if total is None else f" of {total}"
        _say(_failover, logging.DEBUG, source, "failover: %s: %d%s", step, done, of_how_many)

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
        """See `Observer`; INFO."""
        text = "failover decided: %s takes over from %s in epoch %d, serving: %s, after %.3f s"
        _say(
            _failover,
            logging.INFO,
            source,
            text,
            primary,
            previous,
            new_epoch,
            ", ".join(serving),
            seconds,
        )

    def failover_refused(self, source: Source, /, *, primary: str | None, why: str) -> None:
        """See `Observer`; WARNING."""
        text = "failover refused: %s keeps the role: %s"
        _say(_failover, logging.WARNING, source, text, primary or "the primary", why)

    def resync_began(self, source: Source, /, *, node: str, why: str) -> None:
        """See `Observer`; DEBUG."""
        _say(_sync, logging.DEBUG, source, "node %s: resync began: %s", node, why)

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
        """See `Observer`; DEBUG."""
        of_how_many = "" if total is None else f" of {total}"
        _say(
            _sync,
            logging.DEBUG,
            source,
            "node %s: resync: %s: %d%s",
            node,
            stage,
            done,
            of_how_many,
        )

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
        """See `Observer`; DEBUG."""
        how = "ended" if finished else "stopped, with more to do"
        since = ", it serves again" if admitted else ""
        text = "node %s: resync %s: %d log entries, %d records%s%s"
        _say(
            _sync,
            logging.DEBUG,
            source,
            text,
            node,
            how,
            entries,
            records,
            since,
            f": {why}" if why else "",
        )

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
        """See `Observer`; DEBUG."""
        _say(
            _client,
            logging.DEBUG,
            source,
            "node %s: write of %s, %s: in doubt: %s",
            node,
            _shown(keys),
            stamp,
            why,
        )

    def write_looked_up(
        self,
        source: Source,
        /,
        *,
        node: str,
        keys: tuple[str | bytes, ...],
        stamp: str,
    ) -> None:
        """See `Observer`; DEBUG."""
        _say(
            _client,
            logging.DEBUG,
            source,
            "node %s: write of %s, %s: looked up",
            node,
            _shown(keys),
            stamp,
        )

    def write_sent_again(
        self,
        source: Source,
        /,
        *,
        node: str,
        keys: tuple[str | bytes, ...],
        stamp: str,
    ) -> None:
        """See `Observer`; DEBUG."""
        _say(
            _client,
            logging.DEBUG,
            source,
            "node %s: write of %s, %s: sent again",
            node,
            _shown(keys),
            stamp,
        )

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
        """See `Observer`; DEBUG."""
        reason = f": {why}" if why else ""
        _say(
            _client,
            logging.DEBUG,
            source,
            "write of %s, %s: %s%s",
            _shown(keys),
            stamp,
            outcome.value,
            reason,
        )

    def read_repaired(self, source: Source, /, *, node: str, records: int) -> None:
        """See `Observer`; DEBUG."""
        _say(
            _client,
            logging.DEBUG,
            source,
            "node %s: a read sent %d of its records to lagging copies",
            node,
            records,
        )

    def record_restored(self, source: Source, /, *, node: str, records: int) -> None:
        """See `Observer`; WARNING."""
        text = "node %s: it had lost %d records that other copies hold; a read gave them back"
        _say(_client, logging.WARNING, source, text, node, records)

    def wake_up_failed(self, source: Source, /, *, queue: str, why: str) -> None:
        """See `Observer`; WARNING."""
        text = "no wake-ups while the queue on %s is away (%s); the workers' tick does it all"
        _say(_client, logging.WARNING, source, text, queue, why)

    def facts_dropped(self, source: Source, /, *, count: int) -> None:
        """See `Observer`; WARNING."""
        _say(
            _client,
            logging.WARNING,
            source,
            "%d facts were dropped: logging them takes too long",
            count,
        )


_WARNINGS: Final = {
    "node_unavailable": _connection,
    "failover_refused": _failover,
    "record_restored": _client,
    "wake_up_failed": _client,
    "facts_dropped": _client,
}
_NEWS: Final = {
    "node_available": _connection,
    "epoch_changed": _cluster,
    "failover_begun": _failover,
    "failover_decided": _failover,
}
_AREAS: Final = {
    "connection": _connection,
    "member": _cluster,
    "failover": _failover,
    "resync": _sync,
    "write": _client,
    "read": _client,
}
"""The logger of all other facts, by the first word of their names."""


def is_logged(fact: str) -> bool:
    """Whether `LoggingObserver` may log a fact of this name, by the loggers' levels alone.

    This looks at levels as logging itself does, but takes none of logging's locks: it is called in
    the middle of operations, where a signal's handler may raise.
    """
    if (logger := _WARNINGS.get(fact)) is not None:
        return logger.getEffectiveLevel() <= logging.WARNING
    if (logger := _NEWS.get(fact)) is not None:
        return logger.getEffectiveLevel() <= logging.INFO
    return _AREAS[fact.partition("_")[0]].getEffectiveLevel() <= logging.DEBUG


def _say(logger: logging.Logger, level: int, source: Source, text: str, *arguments: object) -> None:
    """Log a line that begins with cluster, epoch and part."""
    logger.log(
        level,
        f"[%s, epoch %d, %s] {text}",
        source.cluster,
        source.epoch,
        source.part.value,
        *arguments,
    )


def _shown(keys: tuple[str | bytes, ...]) -> str:
    """The first of some keys, and how many more there are."""
    first = repr(keys[0])
    if len(first) > SHOWN_KEY_CHARACTERS:
        first = f"{first[:SHOWN_KEY_CHARACTERS]}..."
    return first if len(keys) == 1 else f"{first} and {len(keys) - 1} more"

"""One node under test: the scripts exactly as clients call them, and a look at what they left
behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fakeredis

from redrepl.edges.scripts import all_scripts
from redrepl.values.keys import CLUSTERS_KEY, KeyLayout
from redrepl.values.record import Record, parse_record, tombstone, value_record
from redrepl.values.stamp import Stamp
from tests.support.scripts import load_scripts

EPOCH = b"7"
RESTAMP_WRITER = 0x80007001
MAX_AGE_SECONDS = 30
MAX_SKEW_SECONDS = 5
LAYOUT = KeyLayout("shop")
SECOND = 1_000_000

_POSITIONS = (LAYOUT.cursors, LAYOUT.marks)
_LISTS = (LAYOUT.checkpoints, LAYOUT.sweep)
_FIRST_KEYS: dict[str, tuple[bytes, ...]] = {
    "absorb": (LAYOUT.member, LAYOUT.log, LAYOUT.marks),
    "absorb_oom": (LAYOUT.member, LAYOUT.log, LAYOUT.marks),
    "checkpoint": (LAYOUT.member, LAYOUT.checkpoints),
    "change_member": (LAYOUT.member, LAYOUT.topology, *_POSITIONS, LAYOUT.guard),
    "confirm": (LAYOUT.member, LAYOUT.log, LAYOUT.cursors),
    "digest": (),
    "disown": (
        LAYOUT.member,
        LAYOUT.topology,
        CLUSTERS_KEY,
        LAYOUT.log,
        *_POSITIONS,
        *_LISTS,
        LAYOUT.guard,
    ),
    "enrol": (LAYOUT.member, LAYOUT.topology, CLUSTERS_KEY, LAYOUT.guard),
    "headers": (LAYOUT.member,),
    "hold": (LAYOUT.member, LAYOUT.log),
    "inspect": (
        LAYOUT.member,
        LAYOUT.log,
        *_POSITIONS,
        LAYOUT.topology,
        CLUSTERS_KEY,
        *_LISTS,
        LAYOUT.guard,
    ),
    "leave": (
        LAYOUT.member,
        LAYOUT.topology,
        CLUSTERS_KEY,
        LAYOUT.log,
        *_POSITIONS,
        *_LISTS,
        LAYOUT.guard,
    ),
    "log_page": (LAYOUT.member, LAYOUT.log),
    "mend": (LAYOUT.member, LAYOUT.log, LAYOUT.marks),
    "note_sweep": (LAYOUT.member, LAYOUT.sweep),
    "note_walk": (LAYOUT.member,),
    "probe_write": (
        LAYOUT.member,
        LAYOUT.probe,
        LAYOUT.no_stream,
        LAYOUT.no_string,
        LAYOUT.data_prefix,
    ),
    "purge": (LAYOUT.member,),
    "read_many": (LAYOUT.member,),
    "replace": (LAYOUT.member, LAYOUT.log, LAYOUT.discarded),
    "transact": (LAYOUT.member, LAYOUT.log),
    "transact_oom": (LAYOUT.member, LAYOUT.log),
    "trim": (LAYOUT.member, LAYOUT.log),
    "update": (LAYOUT.member, LAYOUT.log),
    "update_oom": (LAYOUT.member, LAYOUT.log),
    "vouch": (LAYOUT.member, LAYOUT.log, *_POSITIONS),
    "write": (LAYOUT.member, LAYOUT.log),
    "write_oom": (LAYOUT.member, LAYOUT.log),
    "write_many": (LAYOUT.member, LAYOUT.log),
    "write_many_oom": (LAYOUT.member, LAYOUT.log),
}


class Node:
    """A server that the scripts run on. Keys are the users' keys, without prefix."""

    def __init__(self, engine: str, client: Any) -> None:
        self.engine = engine
        self.client = client
        for script in all_scripts().values():
            client.script_load(script.source)

    @classmethod
    def in_memory(cls) -> Node:
        """A node on fakeredis, which has no sha1hex."""
        server = fakeredis.FakeServer(version=(7,))
        node = cls.__new__(cls)
        node.engine, node.client = "fakeredis", fakeredis.FakeRedis(server=server, protocol=2)
        load_scripts(
            server, (script for script in all_scripts().values() if script.name != "digest")
        )
        return node

    def reset(self) -> None:
        """Empty the node and make it an active primary."""
        self.client.flushall()
        self.enrol()

    def enrol(self, rule: str = "decide", state: str = "active", **fields: object) -> None:
        """Set the member's fields as `enrol` would."""
        member = {
            "cluster": "shop",
            "node": "a",
            "epoch": EPOCH,
            "lineage": EPOCH,
            "state": state,
            "rule": rule,
            "restamp_writer": f"{RESTAMP_WRITER:08x}",
            "run_id": "run-1",
            "max_age_micros": MAX_AGE_SECONDS * SECOND,
            "max_skew_micros": MAX_SKEW_SECONDS * SECOND,
            **fields,
        }
        self.client.hset(LAYOUT.member, mapping=member)

    def call(self, script: str, keys: Sequence[bytes], *arguments: bytes | int) -> Any:
        """Run a script on its bookkeeping keys and these users' keys."""
        names = self.names(script, keys)
        return self.client.evalsha(
            all_scripts()[script].sha.decode(), len(names), *names, *arguments
        )

    def names(self, script: str, keys: Sequence[bytes]) -> list[bytes]:
        """The bookkeeping keys of a script, and those of these users' keys."""
        return [*_FIRST_KEYS[script], *(LAYOUT.data(key) for key in keys)]

    def write(self, key: bytes, record: Record, epoch: bytes = EPOCH) -> Any:
        return self.call("write", [key], epoch, record.encode())

    def write_many(self, records: dict[bytes, Record], epoch: bytes = EPOCH) -> Any:
        return self.call(
            "write_many", list(records), epoch, *(record.encode() for record in records.values())
        )

    def update(
        self, key: bytes, operation: bytes, stamp: Stamp, operand: bytes = b"", deadline: int = 0
    ) -> Any:
        return self.call(
            "update", [key], EPOCH, operation, stamp.encode(), b"%012x" % deadline, operand
        )

    def absorb(
        self,
        records: dict[bytes, Record],
        mark: tuple[bytes, bytes, int] = (b"", b"", 0),
        source: bytes = b"b",
        epoch: bytes = EPOCH,
        seen_purged_before: int = 0,
        newest_entry: bytes = b"",
    ) -> Any:
        """The answer without the entry's id."""
        encoded = [record.encode() for record in records.values()]
        answer = self.call(
            "absorb",
            list(records),
            epoch,
            source,
            *mark,
            seen_purged_before,
            newest_entry,
            *encoded,
        )
        return answer[:2] if answer[0] == b"ok" else answer

    def purge(self, tombstones: dict[bytes, Stamp], before: int, epoch: bytes = EPOCH) -> Any:
        stamps = [stamp.encode() for stamp in tombstones.values()]
        return self.call("purge", list(tombstones), epoch, before, *stamps)

    def read_many(self, keys: Sequence[bytes], most_bytes: int = 1_000_000) -> Any:
        return self.call("read_many", keys, EPOCH, b"active", most_bytes)

    def now_micros(self) -> int:
        """The node's own clock."""
        seconds, micros = self.client.time()
        return int(seconds) * SECOND + int(micros)

    def stamp(self, offset_seconds: float = 0, writer: int = 1) -> Stamp:
        """A stamp so far from the node's present."""
        return Stamp(self.now_micros() + int(offset_seconds * SECOND), writer)

    def millis(self, offset_seconds: float) -> int:
        """A deadline so far from the node's present."""
        return self.now_micros() // 1000 + int(offset_seconds * 1000)

    def put(self, key: bytes, record: Record) -> Record:
        """Let a record stand there without a script or a log entry."""
        self.client.set(LAYOUT.data(key), record.encode())
        return record

    def stored(self, key: bytes) -> bytes | None:
        """The bytes that stand under a user's key."""
        found: bytes | None = self.client.get(LAYOUT.data(key))
        return found

    def record(self, key: bytes) -> Record:
        """The record that stands under a user's key."""
        found = self.stored(key)
        assert found is not None, f"nothing stands under {key!r}"
        return parse_record(found)

    def log(self) -> list[dict[bytes, bytes]]:
        """The change log's entries, users' keys to stamps."""
        entries = self.client.xrange(LAYOUT.log)
        return [
            {LAYOUT.user_key(name): stamp for name, stamp in fields.items()}
            for _, fields in entries
        ]

    def expires_at_millis(self, key: bytes) -> int:
        """The native expiry, -1 for none."""
        at: int = self.client.pexpiretime(LAYOUT.data(key))
        return at


def value(stamp: Stamp, payload: bytes = b"payload", deadline_millis: int = 0) -> Record:
    """A value record."""
    return value_record(stamp, payload, deadline_millis)


def deleted(stamp: Stamp, deadline_millis: int = 0) -> Record:
    """A tombstone."""
    return tombstone(stamp, deadline_millis)


def restamped(record: Record, standing: Stamp) -> Record:
    """What the primary makes of a record that is not later than what stands."""
    return record._replace(stamp=Stamp(standing.micros + 1, RESTAMP_WRITER))

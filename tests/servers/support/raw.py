"""What really stands on a node, read past redrepl with a plain client."""

from __future__ import annotations

from typing import Any

from redrepl.embedded import EmbeddedServer
from redrepl.values.keys import KeyLayout
from redrepl.values.record import Record, parse_record
from tests.support.clients import connect

LAYOUT = KeyLayout("shop")
Contents = dict[bytes, bytes]


class RawNode:
    """A plain client of one server, and looks at the cluster's keys through it."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server

    @property
    def client(self) -> Any:
        """A new connection: servers restart in these tests."""
        return connect(self.server, protocol=2)

    def records(self) -> Contents:
        """Raw bytes by user's key; records past their deadline are left out, foreign types shown by
        their name.
        """
        with self.client as client:
            names = sorted(set(client.scan_iter(match=LAYOUT.data_pattern, count=1000)))
            seconds, micros = client.time()
            now_millis = int(seconds) * 1000 + int(micros) // 1000
            found: Contents = {}
            for start in range(0, len(names), 1000):
                part = names[start : start + 1000]
                for name, stored in zip(part, client.mget(part), strict=True):
                    if stored is None:
                        kind = client.type(name)
                        if kind != b"none":
                            found[LAYOUT.user_key(name)] = b"type " + kind
                    elif not _is_past_deadline(stored, now_millis):
                        found[LAYOUT.user_key(name)] = stored
            return found

    def values(self) -> Contents:
        """Payloads of the values that read as present."""
        parsed = {key: parse_record(stored) for key, stored in self.records().items()}
        return {key: record.payload for key, record in parsed.items() if record.kind == b"v"}

    def stored(self, key: str) -> bytes | None:
        """Raw bytes under one user's key."""
        with self.client as client:
            found: bytes | None = client.get(LAYOUT.data(key.encode()))
            return found

    def record(self, key: str) -> Record | None:
        """The record under one user's key."""
        found = self.stored(key)
        return None if found is None else parse_record(found)

    def put(self, key: str, stored: bytes) -> None:
        """Let bytes stand there, past all scripts."""
        with self.client as client:
            client.set(LAYOUT.data(key.encode()), stored)

    def expires_at_millis(self, key: str) -> int:
        """The native expiry, -1 for none, -2 where nothing stands."""
        with self.client as client:
            return int(client.pexpiretime(LAYOUT.data(key.encode())))

    def member(self) -> dict[str, str]:
        """The member hash."""
        with self.client as client:
            return {
                name.decode(): text.decode() for name, text in client.hgetall(LAYOUT.member).items()
            }

    def log_length(self) -> int:
        """Entries of the change log."""
        with self.client as client:
            return int(client.xlen(LAYOUT.log))

    def discarded(self) -> dict[bytes, Record]:
        """Records that the node gave up, by user's key; the newest of each."""
        with self.client as client:
            entries = [fields for _, fields in client.xrange(LAYOUT.discarded)]
        return {
            LAYOUT.user_key(fields[b"key"]): parse_record(fields[b"record"]) for fields in entries
        }

    def calls(self, command: str) -> int:
        """How often the server ran this command from outside scripts or within."""
        with self.client as client:
            return int(client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def _is_past_deadline(stored: bytes, now_millis: int) -> bool:
    try:
        return parse_record(stored).is_past_deadline(now_millis)
    except ValueError:
        return False

"""Parts of a write, sent to single nodes: what a client leaves behind that dies in the middle."""

from __future__ import annotations

from typing import Any

from redrepl.edges.scripts import all_scripts
from redrepl.embedded import EmbeddedServer
from redrepl.values.record import Record
from tests.servers.support.raw import LAYOUT
from tests.support.clients import connect


def send_write(server: EmbeddedServer, key: str, record: Record, epoch: int = 1) -> Any:
    """Run `write` on one node, as a client of this epoch does, and answer what it answered."""
    script = all_scripts()["write"]
    with connect(server, protocol=2) as client:
        client.script_load(script.source)
        names = (LAYOUT.member, LAYOUT.log, LAYOUT.data(key.encode()))
        return client.evalsha(script.sha.decode(), len(names), *names, epoch, record.encode())

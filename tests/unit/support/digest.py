"""What `digest.lua` answers, in Python: fakeredis' scripts have no sha1hex.

`tests/scripts` tests the real one.
"""

from __future__ import annotations

import hashlib
from typing import Any

from redrepl.values.effects import ScriptCall
from redrepl.values.record import TOMBSTONE, Record, is_record, parse_record


def digest(client: Any, call: ScriptCall) -> list[Any]:
    """The script's answer on a server whose records are small."""
    now_millis, _, old_before, *numbers = (int(argument) for argument in call.arguments)
    sums: dict[int, tuple[int, int]] = {}
    old: list[bytes | int] = []
    for index, (name, number) in enumerate(zip(call.keys, numbers, strict=True)):
        count, amount = sums.setdefault(number, (0, 0))
        stored = _stored(client, name)
        record = parse_record(stored) if stored is not None and is_record(stored) else None
        if stored is None or (record is not None and record.is_past_deadline(now_millis)):
            continue
        if record is not None and _is_old(record, old_before):
            old += [index, record.stamp.encode()]
        else:
            text = hashlib.sha1(name + b" " + stored, usedforsecurity=False).hexdigest()
            sums[number] = (count + 1, (amount + int(text[:12], 16)) % (1 << 52))
    flat = [
        part
        for number, (count, amount) in sums.items()
        for part in (b"%d" % number, count, b"%d" % amount)
    ]
    return [len(call.keys), flat, old]


def _stored(client: Any, name: bytes) -> bytes | None:
    if client.execute_command("TYPE", name) not in (b"string", b"none"):
        return b"foreign"
    found: bytes | None = client.execute_command("GET", name)
    return found


def _is_old(record: Record, old_before: int) -> bool:
    return record.kind == TOMBSTONE and record.stamp.micros < old_before

"""Are all copies byte-identical?

Read past redrepl, with a plain client.

Old tombstones do not count: sweeps are purging them all the time, on one node a moment before the
other.
"""

from __future__ import annotations

from collections.abc import Mapping

import redis

from redrepl.values.keys import KeyLayout
from redrepl.values.record import TOMBSTONE, is_record, parse_record
from redrepl_cli.chaos.stage import CLUSTER, TOMBSTONE_RETENTION_SECONDS

PAGE_KEYS = 1000
SHOWN = 5
"""Keys that are named where copies differ."""


def differences(urls: Mapping[str, str]) -> list[str]:
    """In words, what other nodes hold differently from the first; empty where all are equal."""
    old_before = _now_micros(next(iter(urls.values()))) - int(TOMBSTONE_RETENTION_SECONDS * 1e6)
    held = {node: _records(url, old_before) for node, url in urls.items()}
    first, *others = held
    found = []
    for node in others:
        keys = held[first].keys() | held[node].keys()
        differing = sorted(key for key in keys if held[first].get(key) != held[node].get(key))
        if differing:
            shown = "; ".join(
                f"{key.decode()}: {held[first].get(key)!r} and {held[node].get(key)!r}"
                for key in differing[:SHOWN]
            )
            found.append(f"{first} and {node} differ in {len(differing)} keys: {shown}")
    return found


def _now_micros(url: str) -> int:
    with redis.Redis.from_url(url, protocol=2) as client:
        seconds, micros = client.time()
        return int(seconds) * 1_000_000 + int(micros)


def _is_old_tombstone(stored: bytes, old_before: int) -> bool:
    if not is_record(stored):
        return False
    record = parse_record(stored)
    return record.kind == TOMBSTONE and record.stamp.micros < old_before


def _records(url: str, old_before: int) -> dict[bytes, bytes | None]:
    layout = KeyLayout(CLUSTER)
    with redis.Redis.from_url(url, protocol=2) as client:
        names = sorted(client.scan_iter(match=layout.data_pattern, count=PAGE_KEYS))
        found: dict[bytes, bytes | None] = {}
        for start in range(0, len(names), PAGE_KEYS):
            page = names[start : start + PAGE_KEYS]
            for name, stored in zip(page, client.mget(page), strict=True):
                if stored is None or not _is_old_tombstone(stored, old_before):
                    found[layout.user_key(name)] = stored
        return found

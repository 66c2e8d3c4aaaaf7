"""Are all copies byte-identical? Read past redrepl, with a plain client."""

from __future__ import annotations

from collections.abc import Mapping

import redis

from redrepl.values.keys import KeyLayout
from redrepl_cli.chaos.stage import CLUSTER

PAGE_KEYS = 1000
SHOWN = 5
"""Keys that are named where copies differ."""


def differences(urls: Mapping[str, str]) -> list[str]:
    """In words, what other nodes hold differently from the first; empty where all are equal."""
    held = {node: _records(url) for node, url in urls.items()}
    first, *others = held
    found = []
    for node in others:
        keys = held[first].keys() | held[node].keys()
        differing = sorted(key for key in keys if held[first].get(key) != held[node].get(key))
        if differing:
            shown = "; ".join(
                f"{key.decode()}: {held[first].get(key)!r} and {held[node].get(key)!r}" for key in differing[:SHOWN]
            )
            found.append(f"{first} and {node} differ in {len(differing)} keys: {shown}")
    return found


def _records(url: str) -> dict[bytes, bytes | None]:
    layout = KeyLayout(CLUSTER)
    with redis.Redis.from_url(url, protocol=2) as client:
        names = sorted(client.scan_iter(match=layout.data_pattern, count=PAGE_KEYS))
        found: dict[bytes, bytes | None] = {}
        for start in range(0, len(names), PAGE_KEYS):
            page = names[start : start + PAGE_KEYS]
            found.update(zip(map(layout.user_key, page), client.mget(page), strict=True))
        return found

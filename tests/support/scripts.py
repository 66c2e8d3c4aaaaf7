"""The scripts on fakeredis, which does not know flags."""

from __future__ import annotations

from collections.abc import Iterable

import fakeredis

from redrepl.edges.scripts import Script


def without_flags(source: str) -> str:
    """A script without its first line where that names flags."""
    return source.partition("\n")[2] if source.startswith("#!") else source


def load_scripts(server: fakeredis.FakeServer, scripts: Iterable[Script]) -> None:
    """Have a server know scripts by their digests, with flags or without."""
    for script in scripts:
        server.script_cache[script.sha] = without_flags(script.source).encode()

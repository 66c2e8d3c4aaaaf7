"""The scripts that the servers of a simulation run: the library's, or some of them with a bug
planted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeAlias

from redrepl.edges.scripts import Script, all_scripts

Sources: TypeAlias = Mapping[str, Script]


def library_sources() -> Sources:
    """The scripts as they are."""
    return all_scripts()


def changed_sources(name: str, *changes: tuple[str, str]) -> Sources:
    """The scripts, one of them with texts replaced.

    Raises ValueError where a text is not there exactly once.
    """
    source = all_scripts()[name].source
    for old, new in changes:
        if source.count(old) != 1:
            raise ValueError(
                f"{old!r} stands {source.count(old)} times in {name}.lua, not once: adapt the "
                "planted bug"
            )
        source = source.replace(old, new)
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest().encode()
    return {**all_scripts(), name: Script(name, source, sha)}

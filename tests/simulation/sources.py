"""The scripts that the servers of a simulation run: the library's, or some of them with a bug planted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from redrepl.edges.scripts import Script, all_scripts

Sources: TypeAlias = Mapping[str, Script]


def library_sources() -> Sources:
    """The scripts as they are."""
    return all_scripts()

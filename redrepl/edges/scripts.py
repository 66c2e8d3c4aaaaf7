"""The node-side scripts as Redis gets them: each file of `redrepl/lua` with the parts it names, and its SHA-1.

Parts stand where the script names them, mostly in its first line. What stands before them runs without making their
functions, which a server does anew at every call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

_INCLUDE = "-- include:"


class Script(NamedTuple):
    """The full text of a script and the digest by which EVALSHA names it."""

    name: str
    source: str
    sha: bytes


@cache
def all_scripts() -> Mapping[str, Script]:
    """Every script by name."""
    folder = resources.files("redrepl") / "lua"
    names = sorted(entry.name.removesuffix(".lua") for entry in folder.iterdir() if entry.name.endswith(".lua"))
    return {name: _assemble(name) for name in names}


@cache
def script_sha(name: str) -> bytes:
    """The digest of one script, in hexadecimal."""
    return all_scripts()[name].sha


def _assemble(name: str) -> Script:
    folder = resources.files("redrepl") / "lua"
    lines: list[str] = []
    for line in (folder / f"{name}.lua").read_text(encoding="utf-8").splitlines():
        if line.startswith(_INCLUDE):
            for part in line.removeprefix(_INCLUDE).split():
                lines += (folder / "parts" / f"{part}.lua").read_text(encoding="utf-8").splitlines()
        else:
            lines.append(line)
    source = _without_comments(lines)
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest().encode())


def _without_comments(lines: list[str]) -> str:
    """Leave out whole-line comments: the server keeps the text of every script."""
    kept = (line for line in lines if line.strip() and not line.lstrip().startswith("--"))
    return "\n".join(kept) + "\n"

"""The node-side scripts as Redis gets them: each file of `redrepl/lua` with the parts it names, and its SHA-1."""

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


def _assemble(name: str) -> Script:
    folder = resources.files("redrepl") / "lua"
    own = (folder / f"{name}.lua").read_text(encoding="utf-8")
    first = own.split("\n", 1)[0]
    parts = first.removeprefix(_INCLUDE).split() if first.startswith(_INCLUDE) else []
    texts = [(folder / "parts" / f"{part}.lua").read_text(encoding="utf-8") for part in parts]
    source = _without_comments("".join([*texts, own]))
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest().encode())


def _without_comments(source: str) -> str:
    """Leave out whole-line comments: the server keeps the text of every script."""
    kept = (line for line in source.split("\n") if line.strip() and not line.lstrip().startswith("--"))
    return "\n".join(kept) + "\n"

"""The node-side scripts as Redis gets them: each file of `redrepl/lua` with the parts it names, and
its SHA-1.

Parts stand where the script names them, mostly in its first line. What stands before them runs
without making their functions, which a server does anew at every call.

A server at full memory refuses what a script writes, unless the script is flagged `allow-oom`.
Scripts of bookkeeping are (`-- flags: allow-oom`). Some scripts exist twice: `-- at full memory:
NAME` in the first line makes a second one of the same text that is flagged. There AT_FULL_MEMORY is
true, and the script looks after the memory by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

_INCLUDE = "-- include:"
_FLAGS = "-- flags:"
_AT_FULL_MEMORY = "-- at full memory:"
_SHEBANG = "#!lua flags="


class Script(NamedTuple):
    """The full text of a script and the digest by which EVALSHA names it."""

    name: str
    source: str
    sha: bytes


@cache
def all_scripts() -> Mapping[str, Script]:
    """Every script by name."""
    folder = resources.files("redrepl") / "lua"
    names = sorted(
        entry.name.removesuffix(".lua") for entry in folder.iterdir() if entry.name.endswith(".lua")
    )
    scripts = [script for name in names for script in _assemble(name)]
    return {script.name: script for script in scripts}


@cache
def script_sha(name: str) -> bytes:
    """The digest of one script, in hexadecimal."""
    return all_scripts()[name].sha


def _assemble(name: str) -> list[Script]:
    """The script of a file, and the one of the same text for full memory where it names one."""
    folder = resources.files("redrepl") / "lua"
    written = (folder / f"{name}.lua").read_text(encoding="utf-8").splitlines()
    lines: list[str] = []
    for line in written:
        if line.startswith(_INCLUDE):
            for part in line.removeprefix(_INCLUDE).split():
                lines += (folder / "parts" / f"{part}.lua").read_text(encoding="utf-8").splitlines()
        else:
            lines.append(line)
    code = _without_comments(lines)
    second = (
        written[0].removeprefix(_AT_FULL_MEMORY).strip()
        if written[0].startswith(_AT_FULL_MEMORY)
        else ""
    )
    if not second:
        return [
            _script(
                name,
                f"{_SHEBANG}{_flags(written[0])}\n{code}"
                if written[0].startswith(_FLAGS)
                else code,
            )
        ]
    first = _script(name, f"local AT_FULL_MEMORY = false\n{code}")
    return [first, _script(second, f"{_SHEBANG}allow-oom\nlocal AT_FULL_MEMORY = true\n{code}")]


def _flags(line: str) -> str:
    return ",".join(line.removeprefix(_FLAGS).split())


def _script(name: str, source: str) -> Script:
    return Script(
        name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest().encode()
    )


def _without_comments(lines: list[str]) -> str:
    """Leave out whole-line comments: the server keeps the text of every script."""
    kept = (line for line in lines if line.strip() and not line.lstrip().startswith("--"))
    return "\n".join(kept) + "\n"

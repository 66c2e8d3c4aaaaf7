"""What a server says where a login lacks a right, with what it leaves out: which login, which
right, and what for.

Servers before Redis 7.2 name neither, and none names the script.
"""

from __future__ import annotations

import re

from redrepl.values.effects import Command, ScriptCall
from redrepl.values.permissions import needed_by
from redrepl.values.reasons import is_denial

_WHERE = re.compile(r" script: (?:[0-9a-f]{40}, )?on @?user_script:\d+\.?$")
_IN_SCRIPT = ("ERR ACL failure in script: ", "ERR ", "NOPERM ")
_NAMED = re.compile(r"run the '?([\w|]+)'? command")


def describe_denial(username: str | None, command: Command, text: str) -> str:
    """The error as it is, or as one of NOPERM that says more, where it is about a right that the
    login lacks.
    """
    if not is_denial(text):
        return text
    said = _WHERE.sub("", text)
    said = next(
        said.removeprefix(beginning) for beginning in _IN_SCRIPT if said.startswith(beginning)
    )
    lacks = _right_in(said, command)
    advice = "`redrepl acl --role ROLE` prints what a login needs"
    return f"NOPERM login {username or 'default'!r} lacks {lacks}: {said}; {advice}"


def _right_in(said: str, command: Command) -> str:
    """The right that is lacking, and what needs it, as far as the server tells."""
    is_about_keys = "key" in said
    named = _NAMED.search(said)
    if isinstance(command, ScriptCall):
        script = command.script
        if is_about_keys:
            return f"the right to a key of the script {script}"
        return (
            f"+{named[1]}, for the script {script}"
            if named
            else f"one of {needed_by(script)}, for the script {script}"
        )
    first = command.arguments[0]
    name = first.decode("ascii").lower() if isinstance(first, bytes) else str(first)
    return (
        f"the right to a key of {name.upper()}"
        if is_about_keys
        else f"+{named[1] if named else name}"
    )

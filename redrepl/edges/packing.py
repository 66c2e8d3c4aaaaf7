"""Commands as the bytes that a server reads."""

from __future__ import annotations

import hiredis

from redrepl.edges.scripts import script_sha
from redrepl.values.effects import Command, ScriptCall


def size_of(command: Command) -> int:
    """Bytes of a command's keys and arguments, nearly all that `encode` makes of it."""
    keys = command.keys if type(command) is ScriptCall else ()
    return sum([len(part) for part in (*keys, *command.arguments) if type(part) is bytes])


def encode(command: Command) -> bytes:
    """The bytes of a command as a server reads them."""
    # Bytes alone go to hiredis: with an int it ends the interpreter where a signal's handler raises
    # at that moment.
    arguments = [part if isinstance(part, bytes) else b"%d" % part for part in command.arguments]
    parts: tuple[bytes, ...]
    if type(command) is ScriptCall:
        keys = command.keys
        parts = (b"EVALSHA", script_sha(command.script), b"%d" % len(keys), *keys, *arguments)
    else:
        parts = tuple(arguments)
    packed: bytes = hiredis.pack_command(parts)  # type: ignore[arg-type]  # typed for a tuple of anything, not of bytes
    return packed

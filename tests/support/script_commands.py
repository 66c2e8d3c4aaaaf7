"""Which commands a script calls, from its text: those of the functions that it comes to, and of no
others.
"""

from __future__ import annotations

import re

_FUNCTION = re.compile(r"^local function (\w+)\(.*?^end$", re.MULTILINE | re.DOTALL)
_WORD = re.compile(r"\w+")
_COMMAND = re.compile(r"'([A-Z]{3,})'")
_NO_COMMANDS = {"COUNT", "MAXLEN", "MINID", "PXAT", "NOMKSTREAM", "STREAM", "WRONGTYPE"}
"""Options of commands, and beginnings of errors."""


def commands_called(source: str) -> set[str]:
    """The commands, in lower case.

    Parts are included whole, so most scripts have functions that they never call.
    """
    functions = {found[1]: found[0].partition("(")[2] for found in _FUNCTION.finditer(source)}
    text, reached, commands = _FUNCTION.sub("", source), set[str](), set[str]()
    texts = [text]
    while texts:
        text = texts.pop()
        commands |= set(_COMMAND.findall(text)) - _NO_COMMANDS
        for name in set(_WORD.findall(text)) & functions.keys() - reached:
            reached.add(name)
            texts.append(functions[name])
    return {command.lower() for command in commands}

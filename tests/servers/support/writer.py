"""A client that writes and deletes in a loop.

It tells what it sends, a line of number, key and value ('-' for a delete), and after that what was
acknowledged: the number alone.
"""

from __future__ import annotations

import itertools
import sys

from redrepl import Coordinator, WriteNotConfirmed, load_configuration

KEYS = 50
"""Few, so that most writes overwrite or delete."""


def main(configuration_file: str, level: str, name: str) -> None:
    """Write until killed."""
    coordinator: Coordinator[bytes, bytes] = Coordinator(load_configuration(configuration_file))
    for number in itertools.count():
        key = f"{name}-{number % KEYS}"
        value = "-" if number % 7 == 3 else f"{name}.{number}"
        _tell(f"{number} {key} {value}")
        try:
            if value == "-":
                coordinator.delete(key, level=level)
            else:
                coordinator.set(key, value.encode(), level=level)
        except WriteNotConfirmed:
            continue
        _tell(f"{number}")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

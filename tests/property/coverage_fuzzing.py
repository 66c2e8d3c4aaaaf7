"""Feeds one parser of the table with what atheris makes, by the branches that inputs reach.

    python -m tests.property.coverage_fuzzing --list
    python -m tests.property.coverage_fuzzing NAME --seconds 60 [--corpus FOLDER]

Ends with 0 where only documented errors came out; else the input stands in a file `crash-...` in
the corpus's folder, and `--replay FILE` shows what it does. Needs atheris: `make fuzz` installs it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

MAX_INPUT_BYTES = 8_192


def main() -> None:
    """Read the arguments and fuzz; atheris ends the process."""
    asked = _arguments()
    if asked.list:
        sys.stdout.write(
            "\n".join(importlib.import_module("tests.property.parsers.table").PARSERS) + "\n"
        )
        return
    if asked.replay is not None:
        _parser(asked.name).accepts(asked.replay.read_bytes())
        return
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["redrepl", "redrepl_cli", "tests.property"]):
        parser = _parser(asked.name)
    folder = asked.corpus or Path(tempfile.mkdtemp(prefix="redrepl-corpus-"))
    folder.mkdir(parents=True, exist_ok=True)
    for number, sound in enumerate(parser.sound):
        (folder / f"sound-{number}").write_bytes(sound)
    dictionary = folder.with_suffix(".words")
    dictionary.write_text(_dictionary(), encoding="ascii")
    options = [
        f"-max_total_time={asked.seconds}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-dict={dictionary}",
        "-timeout=10",
    ]
    options += [
        "-rss_limit_mb=1024",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], parser.accepts)
    atheris.Fuzz()


def _arguments() -> argparse.Namespace:
    parsed = argparse.ArgumentParser(description=__doc__)
    parsed.add_argument("name", nargs="?", default="")
    parsed.add_argument("--seconds", type=int, default=30)
    parsed.add_argument("--corpus", type=Path)
    parsed.add_argument("--replay", type=Path)
    parsed.add_argument("--list", action="store_true")
    return parsed.parse_args()


def _parser(name: str) -> Any:
    return importlib.import_module("tests.property.parsers.table").PARSERS[name]


def _dictionary() -> str:
    """The tokens of `mutation`, as libFuzzer reads them; it takes no long ones."""
    tokens = importlib.import_module("tests.support.mutation").TOKENS
    short = (token for token in tokens if len(token) <= 64)
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in short)


if __name__ == "__main__":
    main()

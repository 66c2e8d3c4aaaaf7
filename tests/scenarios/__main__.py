"""Shows scenarios as they come out now, or writes that into their files.

python -m tests.scenarios [NAME...]            what differs from the files
python -m tests.scenarios --update [NAME...]   write it into the files
python -m tests.scenarios --commands           what a scenario may say
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from tests.scenarios.script import rewritten
from tests.scenarios.stage import CommandError, Stage
from tests.simulation.world import in_virtual_time

FOLDER = Path(__file__).parent


def scenarios() -> list[Path]:
    """The files of all scenarios."""
    return sorted(FOLDER.glob("*.txt"))


def as_it_is_now(text: str) -> str:
    """The scenario with what happens now. Raises CommandError."""
    with in_virtual_time():
        return rewritten(text, Stage().carry_out)


def differences(path: Path) -> list[str]:
    """What happens now and is not in the file, as lines of a diff; none where all is as it was."""
    before = path.read_text("utf-8")
    after = as_it_is_now(before)
    names = (path.name, "as it is now")
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code is 1 where something differs, or an expectation does not
    hold.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios", description=__doc__)
    parser.add_argument("names", nargs="*", help="of files, without .txt; all by default")
    parser.add_argument(
        "--update", action="store_true", help="write what happens now into the files"
    )
    parser.add_argument("--commands", action="store_true", help="show what a scenario may say")
    options = parser.parse_args(arguments)
    if options.commands:
        sys.stdout.write("\n".join(Stage().usage()) + "\n")
        return 0

    is_different = False
    for path in (path for path in scenarios() if not options.names or path.stem in options.names):
        try:
            found = differences(path)
            if options.update and found:
                path.write_text(as_it_is_now(path.read_text("utf-8")), "utf-8")
        except CommandError as error:
            found = [f"{path.name}: {error}"]
            is_different = True
        if found:
            sys.stdout.write("\n".join(found) + "\n")
            is_different |= not options.update
    return 1 if is_different else 0


if __name__ == "__main__":
    sys.exit(main())

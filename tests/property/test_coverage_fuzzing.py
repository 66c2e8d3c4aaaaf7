"""Each parser for a while with inputs that reach new branches: `make fuzz`."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.property.coverage_fuzzing import _dictionary, main
from tests.property.parsers.table import PARSERS

SECONDS = int(os.environ.get("REDREPL_FUZZ_SECONDS") or 30)
WANTED = os.environ.get("REDREPL_FUZZ_PARSERS", "").split()
ROOT = Path(__file__).parents[2]
NAMES = [name for name in PARSERS if not WANTED or any(word in name for word in WANTED)]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.property.coverage_fuzzing", *arguments]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "cli", ROOT / "workers"))),
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    out, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    return subprocess.CompletedProcess(command, done.returncode, out, errors)


@pytest.mark.fuzz
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="no atheris; `make fuzz` installs it"
)
@pytest.mark.parametrize("name", NAMES)
def test_only_documented_errors_come_out_of_what_reaches_new_branches(
    name: str, tmp_path: Path
) -> None:
    corpus = Path(os.environ.get("REDREPL_FUZZ_CORPUS", tmp_path)) / name.replace(" ", "-")
    done = _run(name, "--seconds", str(SECONDS), "--corpus", str(corpus))
    assert done.returncode == 0, done.stderr[-4_000:]
    executed = re.search(r"number_of_executed_units: ([0-9]+)", done.stderr)
    assert executed is not None
    sys.stderr.write(f"{name}: {executed[1]} inputs\n")


def test_an_input_that_was_found_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "crash-1"
    found.write_bytes(b"\xff" * 22)
    tried: list[bytes] = []
    parser = PARSERS["stamp"]._replace(read=tried.append)
    monkeypatch.setitem(PARSERS, "stamp", parser)
    monkeypatch.setattr(sys, "argv", ["coverage_fuzzing", "stamp", "--replay", str(found)])
    main()
    assert tried == [b"\xff" * 22]


def test_the_dictionary_holds_what_parsers_stumble_over() -> None:
    assert '"\\x00"\n' in _dictionary()
    assert max(map(len, _dictionary().splitlines())) < 300

"""Other processes of a test: workers and clients that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import redrepl
import redrepl_workers

_ROOT = Path(__file__).parents[3]
_PATHS = (Path(redrepl.__file__).parents[1], Path(redrepl_workers.__file__).parents[1], _ROOT)

_WORKER = """
import sys
from redrepl import load_configuration
from redrepl_workers.worker import run_worker
sys.exit(run_worker(load_configuration(sys.argv[1])))
"""


def environment() -> dict[str, str]:
    """The environment in which a child imports the same redrepl as this process."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(path) for path in _PATHS),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def memory_mib(pid: int, peak: bool = False) -> float:
    """Resident memory of a process, now or at most so far."""
    name = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


class Child:
    """A Python process in a session of its own."""

    def __init__(self, *arguments: str, log: Path) -> None:
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(),
                cwd=_ROOT,
                start_new_session=True,
            )

    def read_lines(self, count: int) -> list[str]:
        """The next lines the process writes; raises AssertionError if it ends before."""
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline().decode() for _ in range(count)]
        assert all(lines), f"the process ended: {self.log.read_text()}"
        return [line.strip() for line in lines]

    def kill(self) -> list[str]:
        """SIGKILL; answers the whole lines it had written and nobody had read."""
        self.process.send_signal(signal.SIGKILL)
        assert self.process.stdout is not None
        rest = self.process.stdout.read().decode()
        self.process.wait(30)
        return [line.strip() for line in rest.splitlines(keepends=True) if line.endswith("\n")]

    def stop(self) -> int:
        """SIGTERM and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return self.process.returncode

    def close(self) -> None:
        """Kill it if it is still there."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=30)


def start_worker(configuration_file: Path, log: Path, beginning: str = "") -> Child:
    """A worker process: `run_worker` as the command line runs it, after the statements of
    ``beginning``.
    """
    return Child("-c", beginning + _WORKER, str(configuration_file), log=log)


def start_writer(configuration_file: Path, log: Path, level: str, name: str) -> Child:
    """A client process that writes until it is killed: see `writer.py`."""
    return Child(
        "-m", "tests.servers.support.writer", str(configuration_file), level, name, log=log
    )

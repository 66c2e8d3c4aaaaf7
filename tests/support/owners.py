"""Python processes that own embedded servers, to be ended in every way."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from redrepl.embedded import ServerBinary
from tests.support.processes import all_gone, process_is_gone
from tests.support.waiting import wait_until

PROLOGUE = """
import json, os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would come ignored
from redrepl.embedded import EmbeddedCluster, EmbeddedServer
from redrepl.embedded.watchdog import watchdog
binary = sys.argv[1]

def tell(*servers, **more):
    pids = [server.pid for server in servers] + [watchdog.pid]
    sys.stdout.write(json.dumps({"pids": pids, **more}) + "\\n")
    sys.stdout.flush()

def wait_for_line():
    return sys.stdin.readline()
"""

TWO_SERVERS = """
cluster = EmbeddedCluster(2, binary=binary, persistence='aof').start()
tell(*cluster.servers.values())
"""


class Owner:
    """A Python process that owns servers and tells their process ids."""

    def __init__(self, binary: ServerBinary, temporary: Path, script: str) -> None:
        self.temporary = temporary
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROLOGUE + textwrap.dedent(script), str(binary.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(temporary)},
            start_new_session=True,
            text=True,
        )
        self.told = self.read()
        self.pids: list[int] = self.told["pids"]

    def read(self) -> dict[str, list[int]]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the owner failed: {self.end()}"
        told: dict[str, list[int]] = json.loads(line)
        return told

    def say(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """Wait for the end and return what it wrote to stderr."""
        return self.process.communicate(timeout=30)[1]

    def expect_nothing_left(self) -> None:
        wait_until(lambda: all_gone(self.pids), message=f"processes {self.pids} end")
        wait_until(
            lambda: os.listdir(self.temporary) == [], message=f"{self.temporary} becomes empty"
        )


class Owners:
    """Starts owners whose temporary directories all go to one folder, and ends them."""

    def __init__(self, binary: ServerBinary, temporary: Path) -> None:
        temporary.mkdir()
        self.binary = binary
        self.temporary = temporary
        self.started: list[Owner] = []

    def start(self, script: str) -> Owner:
        owner = Owner(self.binary, self.temporary, script)
        self.started.append(owner)
        assert not any(process_is_gone(pid) for pid in owner.pids)
        assert os.listdir(self.temporary) != []
        return owner

    def close(self) -> None:
        """Kill the owners that are still there."""
        for owner in self.started:
            owner.process.kill()
            owner.process.communicate(timeout=30)

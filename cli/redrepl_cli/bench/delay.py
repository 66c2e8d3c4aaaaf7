"""Servers as if they were far away: a process of delaying proxies in front of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from redrepl_cli.bench.stage import CannotMeasure
from redrepl_cli.children import SAFE_PATH

CHILD = (*SAFE_PATH, "-m", "redrepl_cli.bench.delay_child")

END_SECONDS = 5.0
"""For the process to end after its standard input has; it takes milliseconds."""


@contextmanager
def delayed(ports: Sequence[int], seconds_each_direction: float) -> Iterator[list[int]]:
    """Ports that lead to these after the delay.

    Raises CannotMeasure where no proxy can be started.
    """
    command = [sys.executable, *CHILD, str(seconds_each_direction), *map(str, ports)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            line = child.stdout.readline()
            if not line:
                raise CannotMeasure("the delaying proxy did not start")
            yield [int(port) for port in line.split()]
        finally:
            child.stdin.close()
            _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()

"""How far a long command has come: a bar on a terminal, a line now and then elsewhere; always
standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redrepl.values.effects import Progress
from redrepl_cli.output import console_for, say

LINE_SECONDS = 5.0
"""Without a terminal: between two lines of one stage."""

OnProgress = Callable[[Progress], None]


@contextmanager
def shown_progress() -> Iterator[OnProgress]:
    """What to call with every Progress, while the block runs."""
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    from rich import progress as bars

    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn())
    with bars.Progress(*columns, console=console_for(sys.stderr), transient=True) as bar:
        tasks: dict[str, bars.TaskID] = {}

        def show(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bar.add_task(progress.stage, total=None)
            bar.update(tasks[progress.stage], completed=progress.done, total=progress.total)

        yield show


class PlainProgress:
    """A line at the start of each stage, and every few seconds while it lasts."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._stage: str | None = None
        self._said_at = 0.0

    def __call__(self, progress: Progress) -> None:
        """Say it if it is time."""
        now = self._now()
        if progress.stage == self._stage and now - self._said_at < LINE_SECONDS:
            return
        self._stage, self._said_at = progress.stage, now
        say(
            f"{progress.stage}: {progress.done}"
            + ("" if progress.total is None else f" of {progress.total}")
        )

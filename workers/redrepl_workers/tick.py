"""The tick: at regular times, look which nodes lack something and see that they get it.

It is the guarantee behind the wake-ups. Where the queue does not take a job, or takes none up, the
tick does the work.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from redrepl import Configuration, Observer
from redrepl.edges.wake_ups import enqueue_bring_up, enqueue_sweep
from redrepl.observe import Part
from redrepl.values.errors import RedreplError
from redrepl_workers.configuration_check import ConfigurationCheck
from redrepl_workers.context import WorkerContext
from redrepl_workers.hints import Hints
from redrepl_workers.jobs import SWEEP_LEASE, bring_up_with_lease, sweep_with_lease
from redrepl_workers.looks import CLUSTER, FORGOT, tell
from redrepl_workers.troubles import Troubles, without_numbers

if TYPE_CHECKING:
    from rq import Queue

PATIENCE_TICKS = 3
"""A node whose jobs have been waiting or stuck for this many ticks is brought up by the tick
itself.
"""

TAKEN_TICKS = 6
"""The same where the queue takes a job each time, and the node lacks something all the same."""

TICK = "the tick"

_log = logging.getLogger("redrepl.worker")


class Ticker:
    """Looks at the nodes every ``tick_seconds``, in a thread of its own with connections of its
    own.
    """

    def __init__(
        self,
        configuration: Configuration,
        troubles: Troubles | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._stop = threading.Event()
        self._troubles = troubles or Troubles(_log)
        self._context = WorkerContext(
            configuration,
            self._stop.is_set,
            self._troubles,
            observer,
            Part.TICK,
        )
        self._tick_seconds = configuration.tick_seconds
        self._hints = Hints(configuration, self._troubles)
        self._lacking: Counter[str] = Counter()
        self._check = ConfigurationCheck(self._troubles)
        self._thread = threading.Thread(target=self._loop, name="redrepl-tick", daemon=True)

    def start(self) -> None:
        """Begin ticking."""
        self._hints.start()
        self._thread.start()

    def request_stop(self) -> None:
        """Have it end, after the batch at hand, without waiting for it."""
        self._stop.set()

    def stop(self) -> None:
        """Stop ticking, after the batch at hand."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(self._context.configuration.timeout_seconds + 5.0)
        self._context.close()
        self._hints.stop()

    def _loop(self) -> None:
        while not self._stop.wait(self._tick_seconds):
            try:
                self.tick()
            except RedreplError as error:
                self._troubles.note(TICK, without_numbers(str(error)), f"tick: {error}")
            except Exception:
                _log.exception("tick failed")
            else:
                self._troubles.over(TICK, "the tick works again")

    @property
    def sees_nobody(self) -> bool:
        """Whether no member of the cluster answered when it last looked."""
        return self._troubles.is_under_way(CLUSTER)

    def tick(self) -> list[str]:
        """Look once; answers the nodes that lack something."""
        administration = self._context.administration
        topology, reports = administration.inspect()
        tell(self._troubles, self._context.configuration, topology, reports)
        if topology is None:
            return []
        for node, why in administration.set_forgetful_aside(topology, reports).items():
            _log.warning(FORGOT, node, why)
        self._check.look(administration, topology, reports)
        targets = administration.targets(topology, reports)
        kept = (*targets, SWEEP_LEASE)
        self._lacking = Counter(
            {name: count for name, count in self._lacking.items() if name in kept}
        )
        cluster, key = self._context.configuration.cluster, self._context.configuration.queue_key
        for node in targets:
            enqueue = partial(enqueue_bring_up, cluster=cluster, node=node, key=key)
            self._see_to(node, enqueue, partial(bring_up_with_lease, self._context, node=node))
        if administration.is_sweep_due(topology, reports):
            enqueue = partial(enqueue_sweep, cluster=cluster, key=key)
            self._see_to(SWEEP_LEASE, enqueue, partial(sweep_with_lease, self._context))
        administration.trim_logs(topology, reports)
        return targets

    def _see_to(
        self, name: str, enqueue: Callable[[Queue], bool], carry_out: Callable[[Any | None], str]
    ) -> None:
        """Have work done by a job; where none is taken, or none helps, here and now.

        A queue that takes each job is no proof that a worker does it.
        """
        is_queued = self._hints.offer(name, enqueue)
        self._lacking[name] += 1
        patience = TAKEN_TICKS if is_queued else PATIENCE_TICKS
        if self._hints.is_away or self._lacking[name] >= patience:
            self._lacking[name] = 0
            carry_out(self._hints.connection)

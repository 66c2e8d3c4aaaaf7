"""What a job needs of the process it runs in: the configuration and connections that outlive single
jobs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from redrepl import Administration, Configuration, Observer, load_configuration
from redrepl.observe import Part
from redrepl_workers.lease import Holders
from redrepl_workers.troubles import Troubles

_log = logging.getLogger("redrepl.worker")


class WorkerContext:
    """One cluster's configuration and upkeep connections.

    ``is_stopping`` tells a long job to come to an end.

    troubles: what was said of lasting trouble, for the whole process. observer: told what happens.
    part: of the worker, for the observer.
    """

    def __init__(
        self,
        configuration: Configuration,
        is_stopping: Callable[[], bool] = lambda: False,
        troubles: Troubles | None = None,
        observer: Observer | None = None,
        part: Part = Part.JOBS,
    ) -> None:
        self.configuration = configuration
        self.is_stopping = is_stopping
        self.troubles = troubles or Troubles(_log)
        self.administration = Administration(configuration, observer=observer, part=part)
        self.holders = Holders()

    def close(self) -> None:
        """Close the connections."""
        self.administration.close()


_current: WorkerContext | None = None


def context_for(cluster: str) -> WorkerContext | None:
    """The context of a plain worker of RQ's, made from REDREPL_CONFIG.

    None where the job is for another cluster than this process is configured for. Raises
    ConfigError.
    """
    global _current
    if _current is None:
        _current = WorkerContext(load_configuration())
    return _current if _current.configuration.cluster == cluster else None

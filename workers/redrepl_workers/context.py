"""What a job needs of the process it runs in: the configuration and connections that outlive single jobs."""

from __future__ import annotations

from collections.abc import Callable

from redrepl import Administration, Configuration, load_configuration
from redrepl.values.errors import ConfigError


class WorkerContext:
    """One cluster's configuration and upkeep connections. ``is_stopping`` tells a long job to come to an end."""

    def __init__(self, configuration: Configuration, is_stopping: Callable[[], bool] = lambda: False) -> None:
        self.configuration = configuration
        self.is_stopping = is_stopping
        self.administration = Administration(configuration)

    def close(self) -> None:
        """Close the connections."""
        self.administration.close()


_current: WorkerContext | None = None


def set_context(context: WorkerContext | None) -> None:
    """What jobs of this process use from now on."""
    global _current
    _current = context


def context_for(cluster: str) -> WorkerContext:
    """The context of this process; under a plain `rq worker`, one made from REDREPL_CONFIG.

    Raises ConfigError where the job is for another cluster than this process is configured for.
    """
    global _current
    if _current is None:
        _current = WorkerContext(load_configuration())
    configured = _current.configuration.cluster
    if configured != cluster:
        raise ConfigError(f"this worker is configured for cluster {configured!r} and got a job for {cluster!r}")
    return _current

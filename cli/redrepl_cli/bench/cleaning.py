"""After a run on servers of yours: no key of the benchmark is left, also after Ctrl-C."""

from __future__ import annotations

from redrepl import Configuration, Coordinator, RedreplError
from redrepl_cli.bench.clients import client_of, primary_endpoint
from redrepl_cli.bench.settings import KEYS, PREFIX, batch_keys, plain_key, single_key
from redrepl_cli.output import say


def sweep(configuration: Configuration) -> None:
    """Delete what the subjects stored, over connections of its own: theirs may have been
    interrupted anywhere.

    Never raises: the figures are there already, and what could not be deleted is said on standard
    error.
    """
    from redis import RedisError

    names = [*(single_key(number) for number in range(KEYS)), *batch_keys()]
    try:
        with Coordinator[str, bytes](configuration) as coordinator:
            _delete_plain(coordinator, names)
            # A delete leaves a small tombstone, so none is written for what was never stored.
            found = coordinator.get_many(names)
            coordinator.delete_many([name for name in names if found[name] is not None])
    except (RedreplError, RedisError, OSError) as error:
        say(f'warning: keys that begin with "{PREFIX}" may be left: {error}')


def _delete_plain(coordinator: Coordinator[str, bytes], names: list[str]) -> None:
    with client_of(primary_endpoint(coordinator)) as client:
        client.delete(*map(plain_key, names))

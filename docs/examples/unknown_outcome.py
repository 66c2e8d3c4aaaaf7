"""WriteNotConfirmed: what to do when the outcome of a write is unknown.

Too few copies confirmed in time: the write may take effect or not. Two answers are wrong: to report
a failure, and to repeat an increment. Here one replica is paused, and the write is at ALL.

Prints:

    unknown: not confirmed by 1
    read at QUORUM: the write took effect
    set again at QUORUM: committed
"""

from redis import Redis

from redrepl import Coordinator, NodeRole, WriteNotConfirmed, WriteRejected

KEY = "example:order"


def main() -> None:
    """Pause one replica, as if it were overloaded or cut off, and write."""
    with Coordinator.from_config() as store:
        replica = next(node for node in store.nodes() if node.role is NodeRole.REPLICA)
        with Redis.from_url(replica.url) as server:
            server.client_pause(5000, all=False)
            try:
                pay(store)
            finally:
                server.client_unpause()


def pay(store: Coordinator) -> None:
    """A write that cannot be confirmed in time, and the two honest ways on from there."""
    try:
        store.set(KEY, b"paid", level="all", timeout_seconds=1.0)
    except WriteRejected as error:
        print(f"rejected: {error}")  # certainly without effect: it may be sent again
    except WriteNotConfirmed as error:
        print(f"unknown: not confirmed by {len(error.receipt.pending | set(error.receipt.failed))}")
        # Look: the stamp names the write. Another one proves nothing: the write may still arrive.
        record = store.get_record(KEY, level="quorum")
        is_there = record is not None and record.stamp == error.receipt.stamp
        print(f"read at QUORUM: the write {'took effect' if is_there else 'is not there yet'}")

        # Or repeat it: to set the same value twice does no harm. An increment would count twice.
        print("set again at QUORUM:", store.set(KEY, b"paid", level="quorum").outcome.value)


if __name__ == "__main__":
    main()

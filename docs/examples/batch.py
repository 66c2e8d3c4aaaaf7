"""A batch: many operations of different kinds in few round trips.

A batch is not atomic: each key is decided on its own, in the order in which the operations were
queued. For all or nothing see the transaction in transfer.py.

Prints:

    visits: 3 4
    added: True, and again: False
    limit: b'250'
    committed: True
"""

from redrepl import Coordinator, Outcome


def main() -> None:
    """Queue some operations, send them together, and take the results in their order."""
    with Coordinator.from_config() as store:
        store.delete_many(["example:visits", "example:lock"])
        store.set("example:limit", b"250")

        # The block ends with `execute()`. An error inside of it discards what was queued.
        with store.batch(level="quorum") as batch:
            batch.increment("example:visits", 3).increment("example:visits")
            batch.add("example:lock", b"worker-1", ttl=60)
            batch.add("example:lock", b"worker-2", ttl=60)
            batch.get("example:limit")
            batch.set("example:updated", b"now")

        # A sum for each increment, a receipt for each write, the value for each read.
        first, second, added, again, limit, updated = batch.results
        print(f"visits: {first} {second}")
        print(f"added: {added.applied}, and again: {again.applied}")
        print(f"limit: {limit!r}")
        print(f"committed: {updated.outcome is Outcome.COMMITTED}")


if __name__ == "__main__":
    main()

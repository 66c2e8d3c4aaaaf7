"""Quick start: store a value on a majority of the copies, read it back, delete it.

Like every example here it opens the cluster of REDREPL_CONFIG, or of ./redrepl.toml. `redrepl up`
runs one.

Prints:

    set: committed, confirmed by a majority
    get: b'ada'
    get after delete: None
"""

from redrepl import Coordinator


def main() -> None:
    """Open the cluster, use it, and close the connections at the end of the block."""
    with Coordinator.from_config() as store:
        # The default level is QUORUM: this returns once a majority of the copies has the value.
        receipt = store.set("example:user:1", b"ada", ttl=3600)

        # `required` counts the copies besides the primary; `acked` names all that have confirmed.
        copies = "a majority" if len(receipt.acked) >= receipt.required + 1 else "too few"
        print(f"set: {receipt.outcome.value}, confirmed by {copies}")

        # Reads go to one copy, by default to the primary. Values are bytes unless a codec is given.
        print(f"get: {store.get('example:user:1')!r}")

        store.delete("example:user:1")
        print(f"get after delete: {store.get('example:user:1')!r}")


if __name__ == "__main__":
    main()

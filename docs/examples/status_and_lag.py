"""Status and lag: which copies serve, and what each of them still lacks.

A write at ASYNC leaves the replicas behind until a worker brings them the change. `sync()` does
that at once, and waits for it. `redrepl status` shows on a terminal what `health()` returns here.

Prints:

    condition: healthy, 3 of 3 copies serve
    replicas without lag: 2 of 2
    behind by: 0 changes
"""

from redrepl import Coordinator, NodeState


def main() -> None:
    """Leave the replicas behind, look, bring them up to date, and look again."""
    with Coordinator.from_config() as store:
        for number in range(100):
            store.set(f"example:status:{number}", b"x", ttl=600, level="async")

        # Any number up to 100, and more where others write: a worker may have shipped some by now.
        for node in store.health().nodes:
            print(f"{node.id}: {node.role.value}, {node.state.value}, lag {node.lag_entries}")

        store.sync()

        status = store.health()
        serving = sum(node.state is NodeState.ACTIVE for node in status.nodes)
        stats = status.stats
        print(f"condition: {status.condition.value}, {serving} of {len(status.nodes)} copies serve")
        print(f"replicas without lag: {stats.synced_replicas} of {stats.total_replicas}")
        print(f"behind by: {stats.max_lag_entries} changes")


if __name__ == "__main__":
    main()

"""A replicated cache: JSON values with a deadline, in a namespace that can be cleared as a whole.

Every copy forgets a value at the same moment, and a copy that was away does not bring back a value
that was cleared meanwhile.

Prints:

    first: computed {'title': 'Home', 'visits': 1}
    second: cached {'title': 'Home', 'visits': 1}
    hits 1, misses 1
    cleared 1, then: None
"""

from typing import Any

from redrepl import Coordinator, ReplicatedCache


def page(cache: ReplicatedCache, path: str) -> tuple[str, Any]:
    """A page from the cache, or computed and cached."""
    found = cache.get(path)
    if found is not None:
        return "cached", found
    computed = {"title": "Home", "visits": 1}
    cache.set(path, computed, ttl=60)
    return "computed", computed


def main() -> None:
    """Ask for one page twice, and clear the namespace."""
    with Coordinator.from_config() as store:
        cache = ReplicatedCache(store, namespace="example-pages", default_ttl=300)
        cache.clear()

        print("first:", *page(cache, "/"))
        print("second:", *page(cache, "/"))
        counts = cache.statistics()
        print(f"hits {counts.hits}, misses {counts.misses}")
        print(f"cleared {cache.clear()}, then: {cache.get('/')}")


if __name__ == "__main__":
    main()

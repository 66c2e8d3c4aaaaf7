"""A session: a program reads what it wrote, from a replica, also in another process.

A session remembers the newest version of each key that it wrote or read. Its token is a short
text, which fits into a cookie: the next request, wherever it is served, continues the session.

Prints:

    without the session: the new basket, or an older one
    with the session: b'apples, pears'
"""

from redrepl import Coordinator, ReadPreference, Session

KEY = "example:basket"


def first_request() -> str:
    """Write on the primary alone, which is the fastest; return what the browser keeps."""
    with Coordinator.from_config() as store:
        store.set(KEY, b"apples, pears", level="async")
        return store.session.token()


def next_request(token: str) -> None:
    """Read in what could be another process, on another machine."""
    with Coordinator.from_config() as store:
        value = store.get(KEY, prefer=ReadPreference.REPLICA)
        is_possible = value in (b"apples, pears", b"apples")
        print("without the session:", "the new basket, or an older one" if is_possible else value)

    # A replica that lacks the session's version is passed over, in the end for the primary.
    with Coordinator.from_config(session=Session.from_token(token)) as store:
        value = store.get(KEY, prefer=ReadPreference.REPLICA)
        print(f"with the session: {value!r}")


def main() -> None:
    """An old basket on all copies, a new one on the primary alone, and a reader of replicas."""
    with Coordinator.from_config() as store:
        store.set(KEY, b"apples", level="all")
    next_request(first_request())


if __name__ == "__main__":
    main()

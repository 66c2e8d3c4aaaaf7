"""Debug log: write all the time, and log what happens to the cluster meanwhile.

An argument says for how many seconds, so that there is time to kill a server (HACKING.md, "Follow a
failover in the log").

Prints:

    writes that were not confirmed: 0
"""

import logging
import sys
import time

from redrepl import Coordinator, WriteNotConfirmed

PAUSE_SECONDS = 0.01


def main(seconds: float) -> None:
    """Write one key again and again. Successful writes are not logged."""
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(name)s %(message)s")
    logging.getLogger("redrepl").setLevel(logging.DEBUG)
    failed = 0
    with Coordinator.from_config() as store:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                store.set("example:clock", time.ctime().encode(), level="quorum")
            except WriteNotConfirmed as error:
                print(error)
                failed += 1
            time.sleep(PAUSE_SECONDS)
    print(f"writes that were not confirmed: {failed}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.5)

"""The network between client and servers, as a process of its own: its work must not hold up the
client's interpreter.

    python -m redrepl_cli.bench.delay_child 0.001 7001 7002

stands in front of these ports of this machine with so many seconds' delay in each direction, writes
the ports of its own on one line, and ends when its standard input does.
"""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack

from redrepl.embedded.configuration import LOOPBACK_ADDRESS
from redrepl.embedded.proxy import TcpProxy


def main(arguments: list[str]) -> None:
    """Run until the owner goes away."""
    # Ctrl-C is for the owner, whose end is this process's end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    seconds, *targets = arguments
    with ExitStack() as stack:
        proxies = [
            stack.enter_context(TcpProxy(LOOPBACK_ADDRESS, int(target))) for target in targets
        ]
        for proxy in proxies:
            proxy.delay(float(seconds))
        sys.stdout.write(" ".join(str(proxy.port) for proxy in proxies) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])

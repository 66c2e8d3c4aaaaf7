"""Making sure that nothing can arrive any more on a connection that was lost.

What was sent on it may still be under way, or wait in the server's socket. The server ends its side
of the connection: from then on it reads nothing from there, so what it does not have after that it
will not get.
"""

from __future__ import annotations

from collections.abc import Iterable

from redrepl.plans.operations.watch import ask_decider
from redrepl.plans.operations.write import WriteOrder
from redrepl.plans.view import ClusterView
from redrepl.values.effects import PlainCommand, Plan, Reply
from redrepl.values.reasons import client_in


def cut_off(view: ClusterView, order: WriteOrder, reasons: Iterable[str]) -> Plan[bool]:
    """End the connections to the deciding node whose loss these reasons tell.

    False where one of them is not known, or where the login may not do this (NOPERM) or the node
    does not answer.
    """
    for client_id in dict.fromkeys(map(client_in, reasons)):
        if client_id is None:
            return False
        command = PlainCommand((b"CLIENT", b"KILL", b"ID", b"%d" % client_id))
        event = yield from ask_decider(view, order.home, command, order.started, order.until)
        if not isinstance(event, Reply):
            return False
    return True

"""`redrepl set` and `redrepl delete`."""

from __future__ import annotations

import sys

import click

from redrepl import Coordinator
from redrepl.values import limits
from redrepl_cli.options import Invocation, common_options
from redrepl_cli.output import say
from redrepl_cli.parameters import level_option, timeout_for, timeout_option
from redrepl_cli.text import argument_bytes, argument_key
from redrepl_cli.views.receipts import show_receipt, show_receipts, shown_if_failed

STANDARD_INPUT = "-"


@click.command("set")
@click.argument("key")
@click.argument("value")
@click.option(
    "--ttl", type=float, metavar="SECONDS", help="Every copy forgets the value after this time."
)
@level_option
@timeout_option
@common_options
def set_value(
    invocation: Invocation,
    key: str,
    value: str,
    ttl: float | None,
    level: str | None,
    timeout_seconds: float | None,
) -> None:
    """Store VALUE under KEY; a VALUE of - is read from standard input, byte by byte.

    Prints the receipt. Exit code 4: the required copies did not confirm; the receipt says what is
    known. A key or value that starts with a dash goes after --.

    \b
    Examples: redrepl set user:1 ada --ttl 60 --level all
              redrepl set picture - < picture.png
              redrepl set -- offset -5
    """
    configuration = invocation.configuration()
    content = _read_input() if value == STANDARD_INPUT else argument_bytes(value)
    with Coordinator[str, bytes](configuration) as coordinator:
        timeout = timeout_for(coordinator, timeout_seconds)
        receipt = shown_if_failed(
            lambda: coordinator.set(
                argument_key(key), content, ttl=ttl, level=level, timeout_seconds=timeout
            ),
            lambda receipts: show_receipt(receipts[0], invocation.as_json),
        )
    show_receipt(receipt, invocation.as_json)


@click.command
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@level_option
@timeout_option
@common_options
def delete(
    invocation: Invocation, keys: tuple[str, ...], level: str | None, timeout_seconds: float | None
) -> None:
    """Delete keys.

    A key that does not exist is no error: afterwards it is absent on the copies that confirmed.

    Prints a receipt for each key. Exit code 4: the required copies did not confirm.

    \b
    Example: redrepl delete user:1 user:2 --level quorum
    """
    names = [argument_key(key) for key in keys]
    with Coordinator[str, bytes](invocation.configuration()) as coordinator:
        timeout = timeout_for(coordinator, timeout_seconds)
        deleted = shown_if_failed(
            lambda: coordinator.delete_many(names, level=level, timeout_seconds=timeout),
            lambda receipts: show_receipts(receipts, invocation.as_json),
        )
    show_receipts(list(deleted.values()), invocation.as_json)


def _read_input() -> bytes:
    """Standard input, up to just beyond what a value may have, so that the library can refuse
    it.
    """
    if sys.stdin.isatty():
        say("reading the value from the terminal; end it with Ctrl-D")
    return sys.stdin.buffer.read(limits.MAX_VALUE_BYTES + 1)

"""`redrepl discarded list|show|restore`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import click

from redrepl import Administration, Coordinator, DiscardedRecord, FoundRecord, WriteReceipt
from redrepl.values.status import SCHEMA_VERSION
from redrepl_cli.confirmation import confirm, require_terminal_or_yes
from redrepl_cli.errors import CommandFailed, show
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.options import Invocation, common_options, yes_option
from redrepl_cli.output import plain_table, say, write, write_json, write_value
from redrepl_cli.text import decoded, printable
from redrepl_cli.views.receipts import receipt_json, show_receipt, shown_if_failed

Store = Coordinator[bytes, bytes]

node_option = click.option(
    "--node", metavar="NODE", required=True, help="The node whose log names the record."
)


@click.group
def discarded() -> None:
    """Records that nodes gave up: writes without an outcome, and what the cluster went on
    without.
    """


@discarded.command("list")
@click.option("--node", metavar="NODE", help="One node alone [default: every node].")
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="Records of each node."
)
@common_options
def list_discarded(invocation: Invocation, node: str | None, limit: int) -> ExitCode:
    """Show what nodes gave up, the newest of each node first.

    "undecided": a copy had it, and the primary never took it. "diverged": written to a former
    primary, or to its copies, after the cluster had gone on without them. Exit code 3: not every
    node could be asked.

    \b
    Example: redrepl discarded list --node a --limit 100
    """
    with Administration(invocation.configuration()) as administration:
        found = administration.discarded(node, limit)
    if invocation.as_json:
        records = [_as_json(record) for record in found.records]
        write_json(
            {"schema_version": SCHEMA_VERSION, "records": records, "unreachable": found.unreachable}
        )
    elif found.records:
        columns = ["node", "id", "time", "key", "what", "stamp", "why", "epoch", "replaced by"]
        write(plain_table(columns, [_cells(record) for record in found.records]))
    if found.unreachable:
        show(
            "these nodes could not be asked",
            found.unreachable,
            "`redrepl status` shows what is wrong with them",
        )
    elif not found.records:
        say("nothing was given up")
    return ExitCode.DEGRADED if found.unreachable else ExitCode.DONE


@discarded.command("show")
@click.argument("record_id", metavar="ID")
@node_option
@common_options
def show_discarded(invocation: Invocation, record_id: str, node: str) -> None:
    """Print the value that a node gave up, as `redrepl get` prints values.

    \b
    Example: redrepl discarded show 1764000000000-0 --node a > value
    """
    with Administration(invocation.configuration()) as administration:
        record = administration.discarded_record(node, record_id)
    if invocation.as_json:
        write_json({"schema_version": SCHEMA_VERSION, **_as_json(record)})
    elif record.value is None:
        say(f"a delete of key {printable(record.key)!r}: there is no value")
    else:
        write_value(record.value)


@discarded.command("restore")
@click.argument("record_id", metavar="ID")
@node_option
@yes_option
@common_options
def restore(invocation: Invocation, record_id: str, node: str, yes: bool) -> None:
    """Write what a node gave up once more, as a new write at the configured level; a delete
    deletes.

    A value keeps its deadline. Where the key changes between the question and the answer, nothing
    is written. Exit code 4: the required copies did not confirm.

    \b
    Example: redrepl discarded restore 1764000000000-0 --node a
    """
    require_terminal_or_yes(yes, "discarded restore")
    configuration = invocation.configuration()
    with Administration(configuration) as administration:
        record = administration.discarded_record(node, record_id)
    _seconds_left(record)
    with Store(configuration) as store:
        standing = store.get_record(record.key)
        new = _described(record.value)
        confirm(
            yes,
            "discarded restore",
            f"key {printable(record.key)!r}: {_standing_text(standing)} -> {new}",
        )
        receipt = shown_if_failed(
            lambda: _write(store, record, standing),
            lambda receipts: show_receipt(receipts[0], invocation.as_json),
        )
    if not receipt.applied:
        raise CommandFailed(
            "the key changed meanwhile; nothing was written",
            ExitCode.ERROR,
            "look at it, and try again",
        )
    if invocation.as_json:
        content = {
            "restored": _as_json(record),
            "replaced": _standing_json(standing),
            "receipt": receipt_json(receipt),
        }
        write_json({"schema_version": SCHEMA_VERSION, **content})
    else:
        show_receipt(receipt, as_json=False)
        say(f"replaced: {_standing_text(standing)}")


def _write(
    store: Store, record: DiscardedRecord, standing: FoundRecord[bytes] | None
) -> WriteReceipt:
    expected = None if standing is None else standing.stamp
    if record.value is not None:
        return store.compare_and_set(
            record.key, record.value, expected=expected, ttl=_seconds_left(record)
        )
    with store.transaction() as transaction:
        transaction.check(record.key, expected).delete(record.key)
    return transaction.receipts[record.key]


def _seconds_left(record: DiscardedRecord) -> float | None:
    """Until the record's deadline, None for none. Raises CommandFailed where that is over."""
    if record.value is None or record.expires_at is None:
        return None
    left = record.expires_at - time.time()
    if left <= 0:
        raise CommandFailed(
            f"the deadline of this value passed at {_moment(record.expires_at)}", ExitCode.ERROR
        )
    return left


def _moment(seconds: float) -> str:
    """A time as people write it; one that no calendar knows, as a number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} seconds since 1970"


def _described(value: bytes | None) -> str:
    return "a delete" if value is None else f"a value of {len(value)} bytes"


def _standing_text(standing: FoundRecord[bytes] | None) -> str:
    return (
        "nothing" if standing is None else f"{_described(standing.value)}, stamp {standing.stamp}"
    )


def _standing_json(standing: FoundRecord[bytes] | None) -> dict[str, Any] | None:
    if standing is None:
        return None
    value, encoding = decoded(standing.value)
    return {
        "value": value,
        "encoding": encoding,
        "stamp": str(standing.stamp),
        "expires_at": standing.expires_at,
    }


def _cells(record: DiscardedRecord) -> tuple[object, ...]:
    what = "delete" if record.value is None else f"{len(record.value)} bytes"
    head = (record.node, record.id, _moment(record.at), printable(record.key), what)
    return (*head, str(record.record.stamp), record.why, record.epoch, record.replaced_by)


def _as_json(record: DiscardedRecord) -> dict[str, Any]:
    key, key_encoding = decoded(record.key)
    value, encoding = (None, None) if record.value is None else decoded(record.value)
    return {
        "node": record.node,
        "id": record.id,
        "time": record.at,
        "key": key,
        "key_encoding": key_encoding,
        "deleted": record.value is None,
        "value": value,
        "encoding": encoding,
        "stamp": str(record.record.stamp),
        "expires_at": record.expires_at,
        "why": record.why,
        "epoch": record.epoch,
        "replaced_by": str(record.replaced_by),
    }

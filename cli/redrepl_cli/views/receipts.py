"""Receipts of writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redrepl import RedreplError, WriteReceipt
from redrepl.values.status import SCHEMA_VERSION
from redrepl_cli.output import listing, plain_table, write, write_json
from redrepl_cli.text import decoded, printable

R = TypeVar("R")


def shown_if_failed(write: Callable[[], R], show: Callable[[Sequence[WriteReceipt]], None]) -> R:
    """A failed write has a receipt too: it goes to standard output before the error is reported."""
    try:
        return write()
    except RedreplError as error:
        if error.receipts:
            show(error.receipts)
        raise


def receipt_json(receipt: WriteReceipt) -> dict[str, Any]:
    """A receipt as JSON gives it."""
    key, _ = decoded(receipt.key)
    return {
        "key": key,
        "outcome": receipt.outcome.value,
        "applied": receipt.applied,
        "stamp": str(receipt.stamp),
        "acked": sorted(receipt.acked),
        "pending": sorted(receipt.pending),
        "failed": dict(sorted(receipt.failed.items())),
        "required": receipt.required,
        "elapsed_seconds": round(receipt.elapsed, 6),
    }


def show_receipt(receipt: WriteReceipt, as_json: bool) -> None:
    """The receipt of one write."""
    if as_json:
        write_json({"schema_version": SCHEMA_VERSION, **receipt_json(receipt)})
        return
    write(listing(list(zip(_COLUMNS, _cells(receipt), strict=True))))


def show_receipts(receipts: Sequence[WriteReceipt], as_json: bool) -> None:
    """The receipts of a batch."""
    if as_json:
        write_json(
            {
                "schema_version": SCHEMA_VERSION,
                "receipts": [receipt_json(receipt) for receipt in receipts],
            }
        )
        return
    write(
        plain_table(
            ["key", *_COLUMNS], [[printable(receipt.key), *_cells(receipt)] for receipt in receipts]
        )
    )


_COLUMNS = ("outcome", "stamp", "acked", "pending", "failed")


def _cells(receipt: WriteReceipt) -> tuple[str, ...]:
    names = (receipt.acked, receipt.pending, receipt.failed)
    return (
        receipt.outcome.value,
        str(receipt.stamp),
        *(", ".join(sorted(nodes)) for nodes in names),
    )

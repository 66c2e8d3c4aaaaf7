"""The error family.

Every error names what happened, where and what to do, and carries evidence per node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redrepl.values.receipt import WriteReceipt
from redrepl.values.stamp import Stamp


class RedreplError(Exception):
    """Base of all redrepl errors.

    ``evidence`` maps node ids to what each node answered or how it failed. ``receipts``: where the
    error ended several writes (`set_many`, `delete_many`, `batch()`), a receipt for each of them,
    in order: some may be committed. All subclasses can be pickled.
    """

    def __init__(self, message: str, evidence: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.evidence: dict[str, str] = dict(evidence or {})
        self.receipts: tuple[WriteReceipt, ...] = ()

    def __str__(self) -> str:
        if not self.evidence:
            return self.message
        details = "; ".join(f"{node}: {what}" for node, what in sorted(self.evidence.items()))
        return f"{self.message} ({details})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.evidence), {"receipts": self.receipts}


class ConfigError(RedreplError):
    """The configuration is wrong; the message names the file and the field or line."""


class RequestError(RedreplError, ValueError):
    """The caller's mistake: names the argument, what was given and what is allowed.

    Nothing was sent.
    """


class Unavailable(RedreplError):
    """The copies that the operation needs cannot be reached, or do not admit it."""


class NotAReplicatedRecord(RedreplError):
    """A key holds a value that redrepl did not write; it was left as it is."""


class UndecodableValue(RedreplError):
    """A value that the codec of this program cannot decode: another codec wrote it, or none.

    The message names the key; ``__cause__`` is what the codec raised.
    """


class WriteFailure(RedreplError):
    """A write that did not come out as asked; ``receipt`` tells which copies have it.

    For a batch, ``receipt`` is the first that failed and ``receipts`` holds all of them.
    """

    def __init__(
        self,
        message: str,
        receipt: WriteReceipt,
        evidence: Mapping[str, str] | None = None,
        receipts: Sequence[WriteReceipt] = (),
    ) -> None:
        super().__init__(message, evidence if evidence is not None else receipt.failed)
        self.receipt = receipt
        self.receipts = tuple(receipts) or (receipt,)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.receipt, self.evidence, self.receipts)


class WriteNotConfirmed(WriteFailure):
    """Fewer copies than required confirmed in time.

    The outcome is unknown: the write may take effect or not.
    """


class ClockSkew(WriteNotConfirmed):
    """A node refused a write because its clock and this program's differ by more than the cluster
    tolerates.

    Where other copies were asked as well the outcome is unknown; else ``receipt`` says that it was
    rejected.
    """


class WriteRejected(WriteFailure):
    """The write certainly had no effect: nothing was sent, or every copy that was asked refused
    it.
    """


class TransactionConflict(RedreplError):
    """Something that a transaction had seen or expected no longer holds: nothing was written, on
    any copy.

    ``standing`` maps the keys in question, as the caller gave them (encoded where a key codec is
    used), to the stamps that stand; None where nothing does. Read again and repeat;
    `Coordinator.transact` does that by itself.
    """

    def __init__(
        self,
        message: str,
        standing: Mapping[str | bytes, Stamp | None],
        evidence: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, evidence)
        self.standing = dict(standing)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.standing, self.evidence)

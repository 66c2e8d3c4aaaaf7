"""`help` on a public class shows what its users must know, in both forms."""

from __future__ import annotations

import ast
import inspect
import pydoc
from types import ModuleType

import pytest

from redrepl import AsyncBatch, AsyncTransaction, Batch, Transaction
from redrepl.doors import batch, transaction

BATCH = (
    "in the order of the operations",
    "Nothing is atomic",
    "``results``",
    "WriteNotConfirmed",
    "timeout_seconds",
)
TRANSACTION = (
    "expectation",
    "TransactionConflict",
    "Committed means",
    "TRANSACTION_BYTES",
    "receipts:",
    "sums:",
)


def own_text(cls: type) -> str:
    """What `help` shows of a class before its methods."""
    shown = pydoc.plain(pydoc.render_doc(cls))
    return shown.partition("Method resolution order")[0]


@pytest.mark.parametrize(
    ("cls", "essentials"),
    [
        (Batch, BATCH),
        (AsyncBatch, BATCH),
        (Transaction, TRANSACTION),
        (AsyncTransaction, TRANSACTION),
    ],
)
def test_help_shows_the_full_text(cls: type, essentials: tuple[str, ...]) -> None:
    text = own_text(cls)
    assert [each for each in essentials if each not in text] == []


@pytest.mark.parametrize(
    ("cls", "factory"), [(AsyncBatch, "batch"), (AsyncTransaction, "transaction")]
)
def test_the_asyncio_form_says_first_that_it_is_that(cls: type, factory: str) -> None:
    lines = (inspect.getdoc(cls) or "").splitlines()
    assert f"`AsyncCoordinator.{factory}`" in lines[0]
    assert not any("blocking" in line for line in lines)


@pytest.mark.parametrize(
    ("module", "name", "essentials"),
    [(batch, "Batch", BATCH), (transaction, "Transaction", TRANSACTION)],
)
def test_the_text_stands_in_the_source_where_editors_look(
    module: ModuleType, name: str, essentials: tuple[str, ...]
) -> None:
    tree = ast.parse(inspect.getsource(module))
    (cls,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    assert all(each in (ast.get_docstring(cls) or "") for each in essentials)

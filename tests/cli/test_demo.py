"""`redrepl demo`: it measures, and it fails when the proof fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from redrepl import Stamp
from redrepl_cli.demo import multi_primary, primary_replica
from redrepl_cli.demo.multi_primary import Contest
from redrepl_cli.demo.workload import Ledger, library_files
from tests.cli.conftest import Invoke

GOOD: dict[str, Any] = {
    "acked_writes_lost": 0,
    "converged": True,
    "expired_keys_alive": 0,
    "seconds": 1.0,
}


@pytest.mark.servers
@pytest.mark.parametrize("mode", ["primary-replica", "multi-primary"])
def test_the_demo_proves_what_it_says(invoke: Invoke, mode: str) -> None:
    result = invoke("demo", "--mode", mode, "--format", "json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["schema_version"], found["mode"]) == (1, mode)
    assert (found["acked_writes_lost"], found["converged"]) == (0, True)
    assert found["writes_acked"] >= 1000
    assert found["seconds"] < 60


@pytest.mark.parametrize(
    "bad",
    [{"acked_writes_lost": 1}, {"converged": False}, {"expired_keys_alive": 2}],
    ids=lambda bad: next(iter(bad)),
)
def test_the_demo_fails_when_the_proof_fails(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, bad: dict[str, Any]
) -> None:
    monkeypatch.setattr(primary_replica, "run", lambda _stage, _narrator: {**GOOD, **bad})
    result = invoke("demo", "--format", "json")
    assert result.exit_code == 1
    assert "FAILED" in result.stderr
    monkeypatch.setattr(primary_replica, "run", lambda _stage, _narrator: GOOD)
    assert invoke("demo", "--format", "json").exit_code == 0


def test_the_ledger_knows_what_was_lost() -> None:
    ledger = Ledger()
    ledger.note("kept", b"1", 0.1)
    ledger.note("older", b"2", 0.1)
    ledger.note("deleted", None, 0.1)
    ledger.note("maybe", b"3", 0.1)
    ledger.note_unknown("maybe", b"4")
    assert ledger.lost({"kept": b"1", "older": b"1", "deleted": b"back", "maybe": b"4"}) == [
        "older",
        "deleted",
    ]
    assert ledger.lost({"kept": b"1", "older": b"2", "maybe": b"3"}) == []
    assert (ledger.writes, ledger.unknown) == (4, 1)
    ledger.note("maybe", b"5", 0.1)
    assert "maybe" in ledger.lost({"maybe": b"4"})


def test_the_contest_is_won_by_the_later_stamp() -> None:
    contest = Contest()
    contest.note("key", Stamp(5, 1), b"first")
    contest.note("key", Stamp(4, 9), b"earlier")
    contest.note("key", Stamp(5, 2), None)
    assert contest.winner == {"key": (Stamp(5, 2), None)}
    assert (contest.acked, contest.deletes) == (3, 1)


def test_the_documents_are_the_standard_library() -> None:
    documents = library_files()
    assert len(documents) > 200
    assert b"class JSONDecoder" in documents["stdlib:json/decoder.py"]
    assert len(documents) >= multi_primary.KEYS

"""`redrepl verify` and `redrepl sync`."""

from __future__ import annotations

import pytest

from redrepl.values.effects import Progress
from redrepl_cli.exit_codes import ExitCode
from redrepl_cli.progress import LINE_SECONDS, PlainProgress
from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CliCluster
from tests.cli.support.programs import run_on_terminal
from tests.cli.support.results import json_of
from tests.support.clients import connect

pytestmark = pytest.mark.servers


@pytest.fixture
def damaged(cluster: CliCluster) -> CliCluster:
    """A cluster whose node b has lost a key."""
    cluster.set_everywhere(kept="1", lost="2")
    with connect(cluster["b"]) as client:
        assert client.delete(cluster.stored_name("lost")) == 1
    return cluster


def test_equal_copies(cluster: CliCluster, invoke: Invoke) -> None:
    cluster.set_everywhere(x="1", y="2")
    result = invoke("verify", "--config", str(cluster.file))
    assert (result.exit_code, result.stdout) == (0, "consistent: 2 keys checked, 0 mismatches\n")
    assert "digest a: " in result.stderr
    content = json_of(invoke("verify", "--format", "json", "--config", str(cluster.file)))
    assert {"consistent": True, "keys_checked": 2, "mismatches": []}.items() <= content.items()


def test_a_mismatch_is_3_and_named(damaged: CliCluster, invoke: Invoke) -> None:
    result = invoke("verify", "--config", str(damaged.file))
    assert result.exit_code == ExitCode.DEGRADED
    assert result.stdout.splitlines()[1].split()[:3] == ["lost", "b", "missing"]
    assert "NOT consistent: 2 keys checked, 1 mismatches" in result.stdout
    found = json_of(invoke("verify", "--format", "json", "--config", str(damaged.file)))
    assert [(m["key"], m["node"], m["kind"]) for m in found["mismatches"]] == [
        ("lost", "b", "missing")
    ]


def test_repair(damaged: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(damaged.file))
    refused = invoke("verify", "--repair", *config)
    assert (refused.exit_code, refused.stdout) == (ExitCode.USAGE, "")
    assert "give --yes" in refused.stderr
    repaired = invoke("verify", "--repair", "--yes", "--format", "json", *config)
    assert repaired.exit_code == 0
    assert (json_of(repaired)["consistent"], json_of(repaired)["repaired"]) == (True, 1)
    assert invoke("verify", *config).exit_code == 0


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_repair_asks_on_a_terminal(
    answer: str, code: int, damaged: CliCluster, invoke: Invoke
) -> None:
    ended = run_on_terminal(["verify", "--repair"], damaged.file, {"Go on? [y/N]": f"{answer}\n"})
    assert ended.exit_code == code
    assert "1 records on b are replaced by the primary's" in ended.output
    after = invoke("verify", "--config", str(damaged.file))
    assert after.exit_code == (ExitCode.DONE if answer == "y" else ExitCode.DEGRADED)


def test_a_copy_that_is_away_is_no_equality(cluster: CliCluster, invoke: Invoke) -> None:
    cluster["c"].kill()
    result = invoke("verify", "--format", "json", "--config", str(cluster.file))
    assert result.exit_code == ExitCode.DEGRADED
    assert list(json_of(result)["unreachable"]) == ["c"]
    assert "could not be compared\n  c: " in result.stderr


def test_sync_restores_what_was_lost(damaged: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(damaged.file))
    assert invoke("sync", *config).exit_code == ExitCode.USAGE
    result = invoke("sync", "b", "--yes", *config)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split()[:2] == ["b", "1"]
    assert "made equal to primary 'a': b" in result.stderr
    assert invoke("verify", *config).exit_code == 0
    found = json_of(invoke("sync", "--yes", "--format", "json", *config))
    assert [(node["node"], node["records"]) for node in found["synced"]] == [("b", 0), ("c", 0)]
    assert found["failed"] == {}


def test_sync_does_what_it_can(damaged: CliCluster, invoke: Invoke) -> None:
    config = ("--config", str(damaged.file), "--format", "json")
    damaged["c"].kill()
    result = invoke("sync", "--yes", *config)
    assert result.exit_code == ExitCode.DEGRADED
    assert (
        [node["node"] for node in json_of(result)["synced"]],
        list(json_of(result)["failed"]),
    ) == (["b"], ["c"])
    assert invoke("sync", "c", "--yes", *config).exit_code == ExitCode.UNAVAILABLE
    damaged["a"].kill()
    result = invoke("sync", "b", "--yes", *config)
    assert (result.exit_code, json_of(result)["synced"]) == (ExitCode.UNAVAILABLE, [])


@pytest.mark.parametrize(
    ("node", "message"), [("a", "is the primary"), ("z", "is no member; members are a, b, c")]
)
def test_sync_of_a_node_that_cannot_be(
    node: str, message: str, shared_cluster: CliCluster, invoke: Invoke
) -> None:
    result = invoke("sync", node, "--yes", "--config", str(shared_cluster.file))
    assert result.exit_code == ExitCode.USAGE
    assert message in result.stderr


def test_progress_shows_a_bar_on_a_terminal(shared_cluster: CliCluster) -> None:
    ended = run_on_terminal(["verify"], shared_cluster.file)
    assert ended.exit_code == 0
    assert "digest c" in ended.output


def test_progress_without_a_terminal_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    times = iter([0.0, 1.0, 2.0, 3.0 + LINE_SECONDS])
    progress = PlainProgress(lambda: next(times))
    for each in (
        Progress("one", 0, 9),
        Progress("one", 5, 9),
        Progress("two", 0, None),
        Progress("two", 7, None),
    ):
        progress(each)
    assert capsys.readouterr().err.splitlines() == ["one: 0 of 9", "two: 0", "two: 7"]

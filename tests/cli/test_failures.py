"""Reading and writing while copies are missing: exit codes, receipts and messages."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Invoke
from tests.cli.support.clusters import CliCluster
from tests.cli.support.results import json_of
from tests.support.clients import connect

pytestmark = pytest.mark.servers


def test_an_unconfirmed_write_prints_its_receipt_and_exits_4(
    cluster: CliCluster, invoke: Invoke
) -> None:
    cluster["b"].kill()
    result = invoke(
        "set", "k", "v", "--level", "all", "--format", "json", "--config", str(cluster.file)
    )
    assert result.exit_code == 4
    receipt = json_of(result)
    assert (receipt["outcome"], receipt["required"]) == ("unknown", 2)
    assert "b" in receipt["failed"]
    assert "error: write of 'k' is not confirmed" in result.stderr
    assert "\n  b: " in result.stderr


def test_a_rejected_write_prints_its_receipt_and_exits_4(
    cluster: CliCluster, invoke: Invoke
) -> None:
    cluster["a"].kill()
    for arguments in (["set", "k", "v"], ["delete", "k", "l"]):
        result = invoke(*arguments, "--config", str(cluster.file))
        assert result.exit_code == 4
        assert "rejected" in result.stdout
        assert "nothing was sent" in result.stderr


def test_a_failed_batch_prints_all_receipts(cluster: CliCluster, invoke: Invoke) -> None:
    cluster["c"].kill()
    command = (
        "delete",
        "k",
        "l",
        "--level",
        "all",
        "--format",
        "json",
        "--config",
        str(cluster.file),
    )
    result = invoke(*command)
    assert result.exit_code == 4
    assert [(r["key"], r["outcome"]) for r in json_of(result)["receipts"]] == [
        ("k", "unknown"),
        ("l", "unknown"),
    ]


def test_reads_name_the_nodes_that_failed(cluster: CliCluster, invoke: Invoke) -> None:
    cluster.set_everywhere(k="v")
    config = ("--config", str(cluster.file))
    cluster["a"].kill()
    result = invoke("get", "k", *config)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "\n  a: " in result.stderr
    assert invoke("get", "k", "--prefer", "replica", *config).stdout == "v"


def test_a_cluster_that_is_away(cluster: CliCluster, invoke: Invoke) -> None:
    for name in ("a", "b", "c"):
        cluster[name].kill()
    for arguments in (
        ["get", "k"],
        ["set", "k", "v"],
        ["verify"],
        ["nodes", "list"],
        ["sync", "--yes"],
        ["init"],
    ):
        result = invoke(*arguments, "--config", str(cluster.file))
        assert (result.exit_code, result.stdout) == (4, ""), arguments
        for name in ("a", "b", "c"):
            assert f"\n  {name}: " in result.stderr
        assert "\ntry: " in result.stderr


def test_a_value_that_redrepl_did_not_write_is_an_error(
    cluster: CliCluster, invoke: Invoke
) -> None:
    with connect(cluster["a"]) as client:
        client.set(cluster.stored_name("k"), b"by hand")
    result = invoke("get", "k", "--config", str(cluster.file))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")

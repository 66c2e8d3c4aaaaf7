"""Several servers at once."""

import tempfile
from pathlib import Path

import pytest
import redis

from redrepl.embedded import EmbeddedCluster, ServerBinary, ServerStartError
from tests.support.processes import all_gone

pytestmark = pytest.mark.servers


def test_eight_start_in_parallel(server_binary: ServerBinary) -> None:
    with EmbeddedCluster(8, binary=server_binary) as cluster:
        assert list(cluster.servers) == list("abcdefgh")
        pids = [server.pid for server in cluster.servers.values()]
        answered = [
            redis.Redis.from_url(url).info("server")["process_id"] for url in cluster.urls.values()
        ]
        assert answered == pids
        assert len(set(pids)) == 8
    assert all_gone(pids)


def test_three_servers_share_nothing(three_servers: EmbeddedCluster) -> None:
    assert list(three_servers.servers) == ["a", "b", "c"]
    redis.Redis.from_url(three_servers["a"].url).set("key", "value")
    assert redis.Redis.from_url(three_servers["b"].url).get("key") is None
    assert len({server.directory for server in three_servers.servers.values()}) == 3


def test_arguments_reach_every_server(server_binary: ServerBinary, tmp_path: Path) -> None:
    with EmbeddedCluster(
        names=("x", "y"),
        binary=server_binary,
        directory=tmp_path,
        persistence="aof",
        password="secret",
    ) as cluster:
        for name, server in cluster.servers.items():
            assert server.directory == tmp_path / name
            assert ":secret@" in server.url
            assert redis.Redis.from_url(server.url).config_get("appendonly") == {
                "appendonly": "yes"
            }


def test_a_cluster_can_be_stopped_twice_and_started_again(server_binary: ServerBinary) -> None:
    cluster = EmbeddedCluster(2, binary=server_binary)
    cluster.stop()
    with cluster:
        cluster["a"].kill()
        cluster["b"].freeze()
        cluster.stop()
    with cluster:
        assert all(server.running for server in cluster.servers.values())


def test_one_that_cannot_start_stops_the_others(
    server_binary: ServerBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, data = tmp_path / "temporary", tmp_path / "data"
    temporary.mkdir()
    data.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (data / "b").write_text("a file where a directory should be")
    cluster = EmbeddedCluster(binary=server_binary, directory=data)
    with pytest.raises(ServerStartError, match="server b"):
        cluster.start()
    assert [server.running for server in cluster.servers.values()] == [False, False, False]
    # The others did run: their logs are kept.
    assert "Server initialized" in cluster["a"].log_tail()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("count", "names"), [(0, None), (2, ("a",)), (None, ("a", "a")), (None, ())]
)
def test_names_and_count_must_fit(count: int | None, names: tuple[str, ...] | None) -> None:
    with pytest.raises(ValueError, match="different names"):
        EmbeddedCluster(count, names=names, binary=_any_binary())


def test_more_servers_than_letters_get_numbers() -> None:
    names = list(EmbeddedCluster(27, binary=_any_binary()).servers)
    assert (len(names), names[0], names[-1]) == (27, "n1", "n27")


def _any_binary() -> ServerBinary:
    return ServerBinary(Path("never-started"), "redis", (7, 0, 0))

"""What a server stores: kept, wiped, copied and put back."""

from pathlib import Path

import pytest
import redis

from redrepl.embedded import EmbeddedError, EmbeddedServer, Persistence, ServerBinary
from redrepl.embedded.home import Home
from tests.support.clients import connect
from tests.support.processes import process_is_gone

pytestmark = pytest.mark.servers


def test_aof_is_written_every_second(server_binary: ServerBinary) -> None:
    with EmbeddedServer(binary=server_binary, persistence="aof") as server:
        settings = connect(server).config_get("append*")
        assert (settings["appendonly"], settings["appendfsync"]) == ("yes", "everysec")


def test_kill_and_restart_keep_aof_data_and_port(server_binary: ServerBinary) -> None:
    with EmbeddedServer(binary=server_binary, persistence="aof") as server:
        port, pid = server.port, server.pid
        connect(server).set("key", "value")
        server.kill()
        server.kill()
        assert process_is_gone(pid)
        with pytest.raises(redis.ConnectionError):
            connect(server).ping()
        server.restart()
        assert (server.port, connect(server).get("key")) == (port, b"value")
        assert server.pid != pid


def test_start_after_kill_keeps_data_too(server_binary: ServerBinary) -> None:
    with EmbeddedServer(binary=server_binary, persistence="aof") as server:
        connect(server).set("key", "value")
        server.kill()
        server.start()
        assert connect(server).get("key") == b"value"


def test_restart_of_a_running_server_saves_rdb(server_binary: ServerBinary) -> None:
    with EmbeddedServer(binary=server_binary, persistence="rdb") as server:
        connect(server).set("key", "value")
        server.restart()
        assert connect(server).get("key") == b"value"


def test_without_persistence_a_restart_is_empty(server: EmbeddedServer) -> None:
    connect(server).set("key", "value")
    server.restart()
    assert connect(server).get("key") is None


@pytest.mark.parametrize("persistence", ["aof", "rdb"])
def test_restart_empty_wipes_the_data(
    server_binary: ServerBinary, persistence: Persistence
) -> None:
    with EmbeddedServer(binary=server_binary, persistence=persistence) as server:
        port = server.port
        connect(server).set("key", "value")
        server.restart(empty=True)
        assert connect(server).dbsize() == 0
        assert server.port == port


def test_a_given_directory_keeps_the_data(server_binary: ServerBinary, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with EmbeddedServer(binary=server_binary, directory=folder, persistence="rdb") as server:
        assert server.directory == folder
        connect(server).set("key", "value")
    with EmbeddedServer(binary=server_binary, directory=folder, persistence="rdb") as server:
        assert connect(server).get("key") == b"value"


def test_wiping_a_given_directory_spares_what_is_not_the_servers(
    server_binary: ServerBinary, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with EmbeddedServer(binary=server_binary, directory=tmp_path, persistence="aof") as server:
        connect(server).set("key", "value")
        server.restart(empty=True)
        assert connect(server).get("key") is None
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("persistence", ["aof", "rdb"])
def test_older_data_can_be_put_back(server_binary: ServerBinary, persistence: Persistence) -> None:
    with EmbeddedServer(binary=server_binary, persistence=persistence, password="secret") as server:
        client = connect(server)
        client.set("key", "old")
        snapshot = server.snapshot_directory()
        client.set("key", "new")
        client.set("another", "new")
        server.restore_directory(snapshot)
        assert not server.running
        server.restart()
        assert connect(server).mget("key", "another") == [b"old", None]
        # The snapshot itself stays as it was and can be used again.
        connect(server).set("key", "newest")
        server.restore_directory(snapshot)
        server.start()
        assert connect(server).get("key") == b"old"


def test_a_snapshot_of_a_frozen_server_leaves_it_frozen(server_binary: ServerBinary) -> None:
    with EmbeddedServer(binary=server_binary, persistence="aof") as server:
        connect(server).set("key", "value")
        server.freeze()
        snapshot = server.snapshot_directory()
        assert server.frozen
        server.restart(empty=True)
        server.restore_directory(snapshot)
        server.start()
        assert connect(server).get("key") == b"value"


def test_a_running_server_is_frozen_during_the_copy(
    server_binary: ServerBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedServer(binary=server_binary, persistence="aof") as server:
        seen: list[bool] = []
        copy = Home.take_snapshot

        def observed_copy(home: Home) -> Path:
            seen.append(server.frozen)
            return copy(home)

        monkeypatch.setattr(Home, "take_snapshot", observed_copy)
        server.snapshot_directory()
        assert (seen, server.frozen) == ([True], False)


def test_data_that_the_snapshot_has_not_is_removed(server_binary: ServerBinary) -> None:
    with EmbeddedServer(binary=server_binary, persistence="rdb") as server:
        server.kill()
        nothing_yet = server.snapshot_directory()
        server.start()
        connect(server).set("key", "value")
        server.restart()
        server.restore_directory(nothing_yet)
        server.start()
        assert connect(server).get("key") is None


def test_a_snapshot_needs_stored_data(server: EmbeddedServer) -> None:
    with pytest.raises(EmbeddedError, match="persistence 'none'"):
        server.snapshot_directory()


def test_a_missing_snapshot_changes_nothing(server_binary: ServerBinary, tmp_path: Path) -> None:
    with EmbeddedServer(binary=server_binary, persistence="aof") as server:
        connect(server).set("key", "value")
        with pytest.raises(FileNotFoundError):
            server.restore_directory(tmp_path / "missing")
        server.start()
        assert connect(server).get("key") == b"value"

"""One real server: start, end, crash, freeze."""

import os
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from redrepl.embedded import EmbeddedError, EmbeddedServer, Persistence, ServerBinary
from redrepl.embedded.watchdog import watchdog
from tests.support.clients import connect
from tests.support.processes import process_is_gone
from tests.support.waiting import wait_until

pytestmark = pytest.mark.servers

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="looks at /proc or at Linux's way with ports"
)


def test_it_answers_as_the_started_process(server: EmbeddedServer) -> None:
    information = connect(server).info("server")
    assert information["process_id"] == server.pid
    assert information["tcp_port"] == server.port
    assert server.running
    assert not server.frozen


def test_it_is_plain_and_listens_on_loopback_only(server: EmbeddedServer) -> None:
    settings = connect(server).config_get("*")
    assert settings["bind"] == "127.0.0.1"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["save"] == ""
    assert settings["appendonly"] == "no"


def test_it_leads_a_session_of_its_own(server: EmbeddedServer) -> None:
    assert os.getsid(server.pid) == server.pid != os.getsid(0)


def test_starting_and_stopping_twice_changes_nothing(
    server_binary: ServerBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server = EmbeddedServer(binary=server_binary)
    server.stop()
    first = server.start().pid
    assert server.start().pid == first
    server.stop()
    server.stop()
    assert process_is_gone(first)
    assert not server.running
    assert list(tmp_path.iterdir()) == []


def test_it_can_start_again_after_stop(server_binary: ServerBinary) -> None:
    server = EmbeddedServer(binary=server_binary, persistence="aof")
    with server:
        connect(server).set("key", "old")
    with server:
        assert connect(server).get("key") is None


def test_what_needs_a_running_server_says_so(server_binary: ServerBinary) -> None:
    server = EmbeddedServer("alpha", server_binary)
    for ask in (
        lambda: server.port,
        lambda: server.url,
        lambda: server.directory,
        lambda: server.pid,
        server.freeze,
    ):
        with pytest.raises(EmbeddedError, match="alpha"):
            ask()
    server.kill()
    server.resume()
    assert repr(server).endswith("port=None not running>")


def test_a_frozen_server_is_silent_until_resumed(server: EmbeddedServer) -> None:
    client = connect(server)
    client.ping()
    server.freeze()
    server.freeze()
    assert server.running
    assert server.frozen
    with pytest.raises(redis.TimeoutError):
        connect(server, timeout_seconds=0.2).ping()
    server.resume()
    server.resume()
    assert not server.frozen
    assert client.ping()


@pytest.mark.parametrize("persistence", ["none", "aof"])
def test_a_frozen_server_can_be_stopped(
    server_binary: ServerBinary, tmp_path: Path, persistence: Persistence
) -> None:
    # With 'aof' the directory is given, which makes the end a graceful one.
    folder = None if persistence == "none" else tmp_path
    server = EmbeddedServer(binary=server_binary, persistence=persistence, directory=folder).start()
    pid = server.pid
    server.freeze()
    server.stop()
    assert process_is_gone(pid)
    assert not server.frozen


def test_a_frozen_server_can_be_restarted(server_binary: ServerBinary) -> None:
    with EmbeddedServer(binary=server_binary, persistence="rdb") as server:
        connect(server).set("key", "value")
        server.freeze()
        server.restart()
        assert not server.frozen
        assert connect(server).get("key") == b"value"


def test_a_server_that_ignores_sigterm_is_killed(
    server_binary: ServerBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redrepl.embedded.process.TERMINATION_TIMEOUT_SECONDS", 0.2)
    server = EmbeddedServer(binary=server_binary, directory=tmp_path).start()
    pid = server.pid
    client = connect(server)
    # A server inside an endless script only notes the signal.
    busy = threading.Thread(target=_run_until_disconnected, args=(client, "while true do end"))
    busy.start()
    wait_until(lambda: _is_busy(server), message="the script runs")
    server.stop()
    busy.join(10)
    assert not busy.is_alive()
    assert process_is_gone(pid)


def _run_until_disconnected(client: "redis.Redis", script: str) -> None:
    with pytest.raises(redis.ConnectionError):
        client.eval(script, 0)


def _is_busy(server: EmbeddedServer) -> bool:
    try:
        connect(server, timeout_seconds=0.1).ping()
    except redis.TimeoutError:
        return True
    return False


def test_a_server_that_died_by_itself_is_noticed(server: EmbeddedServer) -> None:
    connect(server).shutdown(nosave=True)
    wait_until(lambda: not server.running)
    with pytest.raises(EmbeddedError, match="not running"):
        server.freeze()
    server.start()
    assert connect(server).ping()


@linux_only
def test_no_descriptor_leaks_into_the_server(server: EmbeddedServer) -> None:
    ours, theirs = _open_descriptors(os.getpid()), _open_descriptors(server.pid)
    shared = {name for name in ours & theirs if name.startswith(("pipe:", "socket:"))}
    assert shared == set()
    assert any(name.startswith("pipe:") for name in ours), "the watchdog's pipe is open here"
    assert watchdog.pid is not None


def _open_descriptors(pid: int) -> set[str]:
    """What a process has open, but for what it closes meanwhile."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(os.readlink(entry))
    return found


def test_the_log_is_readable_before_and_after_the_end(server_binary: ServerBinary) -> None:
    server = EmbeddedServer(binary=server_binary)
    assert server.log_tail() == ""
    with server:
        assert "Server initialized" in server.log_tail()
    assert "Server initialized" in server.log_tail()

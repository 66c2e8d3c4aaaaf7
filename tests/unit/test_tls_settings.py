"""The table [tls] of a configuration, and the contexts that are made of it."""

from __future__ import annotations

import os
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from redrepl.edges.configuration import Configuration, load_configuration
from redrepl.edges.endpoint import split_url
from redrepl.edges.tls import TlsFileError, TlsSettings
from redrepl.values.errors import ConfigError
from tests.support.certificates import Authority


def _load(
    tmp_path: Path, *table: str, url: str = "rediss://h", head: str = "", **environment: str
) -> Configuration:
    file = tmp_path / "redrepl.toml"
    node = ["[[nodes]]", 'id = "a"', f'url = "{url}"', 'role = "primary"']
    file.write_text("\n".join(['cluster = "shop"', head, "[tls]", *table, *node]), encoding="utf-8")
    return load_configuration(file, environment)


def test_its_settings_reach_the_nodes_and_the_queue(tmp_path: Path, authority: Authority) -> None:
    mine = authority.certify("mine")
    table = (
        f'ca = "{authority.file}"',
        f'certificate = "{mine.file}"',
        f'key = "{mine.key}"',
        "check_names = false",
    )
    found = _load(tmp_path, *table, head='queue_url = "rediss://queue"')
    assert found.endpoints[0].tls == found.tls
    assert found.tls == TlsSettings(
        str(authority.file), str(mine.file), str(mine.key), check_names=False
    )
    assert found.queue_url is not None
    assert split_url("queue", found.queue_url).tls == found.tls
    assert found.topology().members[0].url == "rediss://h"


def test_the_environment_goes_over_it(tmp_path: Path, authority: Authority) -> None:
    found = _load(
        tmp_path,
        'ca = "/none"',
        REDREPL_TLS_CA=str(authority.file),
        REDREPL_TLS_CHECK_NAMES="false",
    )
    assert (found.tls.ca, found.tls.check_names) == (str(authority.file), False)


def test_a_relative_file_stays_the_same_in_another_folder(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(authority.file.parent)
    found = _load(tmp_path, f'ca = "{authority.file.name}"')
    assert found.tls.ca == str(authority.file)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('ca = "/no/such/file"', r"tls\.ca /no/such/file: No such file"),
        ("ca = 3", r"tls\.ca must be a string"),
        ('check_names = "no"', r"tls\.check_names must be true or false"),
        ("check_names = false", r"needs tls\.ca"),
        ('minimum_version = "1.1"', r"tls\.minimum_version must be one of"),
        ('password = "hunter"', r"\[tls\]: unknown key 'password'; known are ca, certificate"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        _load(tmp_path, line)
    assert "hunter" not in str(caught.value)


def test_a_key_alone_is_a_mistake(tmp_path: Path, authority: Authority) -> None:
    with pytest.raises(ConfigError, match=r"tls\.key needs tls\.certificate"):
        _load(tmp_path, f'key = "{authority.certify("mine").key}"')


def test_the_authorities_that_are_named_are_trusted_and_no_others(authority: Authority) -> None:
    context = TlsSettings(ca=str(authority.file)).context()
    assert len(context.get_ca_certs()) == 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_private_authority_needs_no_key_usage_on_any_python(authority: Authority) -> None:
    settings = TlsSettings(ca=str(authority.file))
    assert not settings.context().verify_flags & ssl.VERIFY_X509_STRICT
    strict = replace(settings, added_flags=("VERIFY_X509_STRICT",))
    assert strict.context().verify_flags & ssl.VERIFY_X509_STRICT
    public = ssl.create_default_context().verify_flags & ssl.VERIFY_X509_STRICT
    assert TlsSettings().context().verify_flags & ssl.VERIFY_X509_STRICT == public


def test_files_that_changed_are_read_again(tmp_path: Path, authority: Authority) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(authority.file.read_bytes())
    settings = TlsSettings(ca=str(file))
    context = settings.context()
    assert settings.context() is context
    other = Authority(tmp_path / "other", "another")
    os.replace(other.file, file)
    assert settings.context().get_ca_certs() != context.get_ca_certs()
    file.unlink()
    with pytest.raises(TlsFileError, match=r"tls\.ca .*: No such file"):
        settings.context()


def test_a_key_with_a_password_asks_nobody(tmp_path: Path, authority: Authority) -> None:
    mine = authority.certify("locked", password="hunter-2")
    settings = TlsSettings(certificate=str(mine.file), key=str(mine.key), ca=str(authority.file))
    with pytest.raises(TlsFileError, match=r"tls\.certificate .*password of the key is wrong"):
        settings.context()
    (tmp_path / "password").write_text("hunter-2\n")
    files = {
        "certificate": str(mine.file),
        "key": str(mine.key),
        "key_password_file": str(tmp_path / "password"),
    }
    assert TlsSettings(**files, ca=str(authority.file)).context()  # type: ignore[arg-type]


def test_a_key_of_another_certificate_is_named(authority: Authority) -> None:
    mine, other = authority.certify("mine"), authority.certify("other")
    settings = TlsSettings(ca=str(authority.file), certificate=str(mine.file), key=str(other.key))
    with pytest.raises(TlsFileError, match="key values mismatch"):
        settings.context()


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("nothing\n")
    with pytest.raises(TlsFileError, match=r"tls\.ca .*cannot be used"):
        TlsSettings(ca=str(tmp_path / "ca.crt")).context()

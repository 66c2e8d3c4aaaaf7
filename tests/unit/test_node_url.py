"""What a url of a node may look like, and what is said about others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from redrepl.edges.endpoint import (
    address,
    connection_options,
    place_of,
    split_url,
    with_connect_url,
)
from redrepl.edges.tls import TlsConnection, TlsSettings
from redrepl.values.errors import ConfigError
from redrepl.values.node_url import UnreadableUrl, parse_node_url, public_url
from redrepl.values.topology import Member, Mode, NodeRole, Topology


@pytest.mark.parametrize(
    ("url", "place", "shown"),
    [
        ("redis://h", (("h", 6379), 0), "h"),
        ("redis://H:6379/0", (("h", 6379), 0), "H:6379"),
        ("redis://h/", (("h", 6379), 0), "h"),
        ("valkey://h:6380/12", (("h", 6380), 12), "h:6380"),
        ("redis://h?db=4", (("h", 6379), 4), "h"),
        (
            "redis://redis_1.some-net:6379/0",
            (("redis_1.some-net", 6379), 0),
            "redis_1.some-net:6379",
        ),
        ("redis://[fe80::1%eth0]:6379/0", (("fe80::1%eth0", 6379), 0), "[fe80::1%eth0]:6379"),
        ("unix:///run/redis.sock", ("/run/redis.sock", 0), "/run/redis.sock"),
        ("unix:///run/a%20b.sock?db=3", ("/run/a b.sock", 3), "/run/a b.sock"),
        ("unix://ada:x@/run/redis.sock", ("/run/redis.sock", 0), "/run/redis.sock"),
    ],
)
def test_urls_that_lead_somewhere(url: str, place: object, shown: str) -> None:
    assert place_of(url) == place
    assert address(split_url("a", url)) == shown


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "must start with redis://"),
        ("h:6379", "must start with redis://"),
        ("http://h", "must start with redis://"),
        ("redis:/h", "must start with redis://"),
        ("redis://", "names no host"),
        ("redis:///0", "names no host"),
        ("redis://:6379/0", "names no host"),
        ("redis://me:secret@/0", "names no host"),
        ("redis://h:/0", "host and port"),
        ("redis://h:port/0", "host and port"),
        ("redis://h:6379x", "host and port"),
        ("redis://h:0/0", "port"),
        ("redis://h:65536/0", "port"),
        ("redis://[::1/0", "host and port"),
        ("redis://h i:1/0", "space"),
        ("redis://h\n:1/0", "cannot be printed"),
        ("redis://h/first", "number of a database"),
        ("redis://h/-1", "number of a database"),
        ("redis://h?db=x", "db must be the number"),
        ("redis://h#0", "'#'"),
        ("redis://h?secret", "no options"),
        ("redis://h?secret=1", "unknown option"),
        ("redis://h?max_connections=5", "option max_connections is of no use"),
        ("redis://h?db=1&db=2", "twice"),
        ("redis://h?ssl_ca_certs=/ca.crt", "need rediss://"),
        ("unix://", "whole path"),
        ("unix:///", "whole path"),
        ("unix://run/redis.sock", "whole path"),
        ("unix://:6/redis.sock", "whole path"),
    ],
)
def test_what_is_wrong_is_named(url: str, said: str) -> None:
    with pytest.raises(UnreadableUrl) as caught:
        parse_node_url(url)
    assert said in str(caught.value)
    with pytest.raises(ConfigError, match="node 'a': url"):
        split_url("a", url)


def test_a_wrong_connect_url_is_named_as_such() -> None:
    with pytest.raises(ConfigError, match="node 'a': connect_url cannot be used: it names no host"):
        with_connect_url(split_url("a", "redis://a"), "redis://:6379")


def test_options_about_tls_are_for_this_program_alone() -> None:
    url = "rediss://h:1/0?ssl_ca_certs=/ca&ssl_certfile=/c&ssl_keyfile=/k&ssl_password=hunter&ssl_cert_reqs=none"
    found = split_url("a", url)
    assert found.url == "rediss://h:1/0"
    assert "hunter" not in repr(found)
    kind, options = connection_options(found)
    assert kind is TlsConnection
    assert options["tls"] == TlsSettings(
        ca="/ca", certificate="/c", key="/k", key_password="hunter", is_verified=False
    )


def test_a_url_goes_over_the_table_and_connect_url_over_both() -> None:
    table = TlsSettings(ca="/table", certificate="/mine")
    found = split_url("a", "rediss://h?ssl_ca_certs=/url", table)
    assert (found.tls.ca, found.tls.certificate) == ("/url", "/mine")
    elsewhere = with_connect_url(found, "rediss://tunnel:1?ssl_check_hostname=false")
    assert (elsewhere.tls.ca, elsewhere.tls.check_names, elsewhere.reached_at) == (
        "/url",
        False,
        "rediss://tunnel:1",
    )


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("ssl_cert_reqs=hunter", "ssl_cert_reqs must be"),
        ("ssl_min_version=hunter", "ssl_min_version must be"),
        ("ssl_include_verify_flags=hunter", "ssl_include_verify_flags must be"),
        ("ssl_check_hostname=false", "needs tls.ca"),
    ],
)
def test_wrong_values_of_options_are_named_and_not_shown(query: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        split_url("a", f"rediss://h?{query}")
    assert "hunter" not in str(caught.value)


def test_a_stored_topology_shows_no_options_of_earlier_versions() -> None:
    members = (
        Member("a", "rediss://h:1/0?ssl_ca_certs=/ca&ssl_password=hunter", NodeRole.PRIMARY),
        Member("b", "redis://:6/hunter@127.0.0.1:6379/0", NodeRole.REPLICA),
        Member("c", "redis://:hunter?x@127.0.0.1:6379/0", NodeRole.REPLICA),
    )
    found = Topology.parse(Topology("shop", 1, Mode.PRIMARY_REPLICA, members).encode())
    assert [member.url for member in found.members] == [
        "rediss://h:1/0",
        "unreadable",
        "unreadable",
    ]
    assert "hunter" not in found.encode()


def test_nothing_is_sent_without_tls_where_the_file_says_tls() -> None:
    moved = split_url("a", "rediss://a:secret@h:1/0")
    with pytest.raises(ConfigError, match="without TLS"):
        connection_options(replace(moved, url="redis://other:1/0"))


def test_what_is_shown_again_stays_the_same() -> None:
    assert public_url(public_url("redis://a:b@h?db=3")) == "redis://h/3"

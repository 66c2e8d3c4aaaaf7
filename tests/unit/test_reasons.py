"""What an operator is told to do about a node, by what it answered."""

from __future__ import annotations

import socket
import ssl

import hiredis
import pytest
import redis

from redrepl.edges.endpoint import Endpoint
from redrepl.edges.opening_errors import describe_error, describe_reply
from redrepl.edges.tls import TlsFileError
from redrepl.plans.strangers import answers_of, describe_stranger
from redrepl.values.reasons import advice_on, kind_of
from redrepl.values.report import Log, NodeReport
from redrepl.values.reports import Reports
from tests.unit.support.reports import NOW_MILLIS, report, stranger


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("h:1 refuses connections: no server runs there", "start the server of x"),
        ("h:1 refused the login: WRONGPASS", "REDREPL_PASSWORD"),
        ("h:1 does not permit this login what it needs: NOPERM", "permissions"),
        ("h:1: no address is found for its name: unknown", "DNS"),
        ("h:1 did not complete the TLS handshake within 1 s", "rediss://"),
        ("h:1 has a TLS certificate that is not accepted: self-signed", "ssl_ca_certs"),
        ("h:1 closes the connection at once: reset", "rediss://"),
        ("h:1 closes the connection over TLS at once: reset", "[tls] certificate"),
        ("h:1 does not speak the protocol of Redis: HTTP", "correct the port"),
        ("h:1 has no database of this number: 99", "database number"),
        ("h:1 did not answer within 1 s", "reached from here"),
        ("no answer in time", "reached from here"),
        ("has not answered for 1.5 s", "reached from here"),
        ("belongs to cluster 'other'", "cluster's name"),
        ("holds no membership of any cluster, and no keys at all", "redrepl init"),
    ],
)
def test_each_reason_has_its_own_advice(reason: str, advice: str) -> None:
    found = advice_on({"x": reason})
    assert found is not None
    assert advice in found
    assert "x" in found


def test_nodes_with_one_reason_share_the_advice() -> None:
    found = advice_on(
        {
            "b": "refuses connections",
            "a": "connection lost: reset",
            "c": "did not answer within 2 s",
        }
    )
    assert found is not None
    assert found.startswith("start the server of a, b, or correct its address; see whether")
    assert advice_on({"a": "something new"}) is None


def test_the_kind_of_a_silence_does_not_depend_on_the_words() -> None:
    words = ("did not answer within 1 s", "no answer in time", "has not answered for 3.1 s")
    assert len({kind_of(reason) for reason in words}) == 1


def _with_past(uptime: int, *databases: str) -> NodeReport:
    found = stranger("b")
    return NodeReport(
        found.node,
        {},
        found.run_id,
        Log(0, "0-0", 0, ""),
        {},
        {},
        None,
        NOW_MILLIS,
        {},
        (),
        {},
        uptime,
        databases,
    )


def _seen(millis_ago: int) -> Reports:
    source = report("a", cursors={"b": ("5-0", 7)})
    cursor = source.cursors["b"]
    return Reports(
        {"a": report("a", cursors={}), "c": _confirmed(source, cursor.at_millis - millis_ago)}
    )


def _confirmed(source: NodeReport, at_millis: int) -> NodeReport:
    cursor = source.cursors["b"]._replace(at_millis=at_millis)
    return NodeReport(
        source.node,
        source.member,
        source.run_id,
        source.log,
        {"b": cursor},
        {},
        source.topology,
        source.now_millis,
        source.clusters,
    )


def test_a_server_that_was_emptied_is_told_from_one_that_came_back_empty() -> None:
    assert describe_stranger(_with_past(5), _seen(60_000)) == "came back empty"
    emptied = describe_stranger(_with_past(3600), _seen(60_000))
    assert "was emptied while its server ran (FLUSHALL)" in emptied
    assert "FLUSHDB" in describe_stranger(_with_past(3600, "db3"), _seen(60_000))


def test_a_wrong_database_number_is_thought_of() -> None:
    found = describe_stranger(_with_past(5, "db0", "db3"), _seen(60_000))
    assert "holds keys in db0, db3: look at the database number" in found


def test_a_server_of_another_cluster_is_no_empty_one() -> None:
    assert (
        describe_stranger(stranger("b", bakery="x"))
        == "the server at its address belongs to cluster 'bakery'"
    )


def test_what_addresses_answered_where_no_member_is_there() -> None:
    looked = Reports.collect({"a": "down", "b": stranger("b"), "c": stranger("c", bakery="x")})
    found = answers_of(looked, "shop")
    assert list(found) == ["a", "b", "c"]
    assert found == {
        "a": "down",
        "b": "holds no membership of any cluster, and no keys at all",
        "c": "belongs to cluster 'bakery'",
    }


ENDPOINT = Endpoint("x", "redis://h:6379/0")


def _wrong_name() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "mismatch")
    error.verify_code = 62
    return error


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            _caused(redis.ConnectionError("Error 111"), ConnectionRefusedError(111, "refused")),
            "start the server",
        ),
        (
            _caused(redis.ConnectionError("Error 2"), FileNotFoundError(2, "no such file")),
            "start the server",
        ),
        (_caused(redis.ConnectionError("Error -2"), socket.gaierror(-2, "unknown")), "DNS"),
        (
            _caused(redis.ConnectionError("x"), ssl.SSLCertVerificationError(1, "self-signed")),
            "ssl_ca_certs",
        ),
        (
            _caused(redis.ConnectionError("x"), ssl.SSLError(1, "WRONG_VERSION_NUMBER")),
            "redis:// for others",
        ),
        (
            _caused(redis.ConnectionError("x"), ssl.SSLError(1, "ALERT_CERTIFICATE_REQUIRED")),
            "[tls] certificate",
        ),
        (
            _caused(redis.ConnectionError("x"), ssl.SSLError(1, "TLSV1_ALERT_UNKNOWN_CA")),
            "that the servers trust",
        ),
        (_caused(redis.ConnectionError("x"), _wrong_name()), "as the certificate does"),
        (TlsFileError("tls.ca /ca.crt: No such file or directory"), "correct the file"),
        (
            redis.TimeoutError("_ssl.c:989: The handshake operation timed out"),
            "redis:// for others",
        ),
        (redis.TimeoutError("timed out"), "frozen or busy"),
        (ConnectionResetError(104, "reset by peer"), "needs rediss://"),
        (
            hiredis.ProtocolError('Protocol error, got "H" as reply type byte'),
            "another service listens there",
        ),
    ],
)
def test_each_error_of_an_opening_leads_to_its_own_advice(error: Exception, advice: str) -> None:
    said = describe_error(ENDPOINT, error, 1.0)
    assert "h:6379" in said
    assert advice in (advice_on({"x": said}) or "")


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        ("WRONGPASS invalid username-password pair", "REDREPL_PASSWORD"),
        ("NOAUTH Authentication required.", "REDREPL_PASSWORD"),
        ("NOPERM this user has no permissions", "permissions"),
        ("LOADING Redis is loading the dataset in memory", "wait until x has loaded"),
        ("ERR max number of clients reached", "maxclients"),
        ("ERR DB index is out of range", "database number"),
        (
            "ERR unknown command 'HMGET', with args beginning with: 'shop:m:member'",
            "needs no Sentinel",
        ),
        ("CLUSTERDOWN Hash slot not served", "cluster-enabled no"),
        ("MOVED 3999 127.0.0.1:6381", "cluster-enabled no"),
    ],
)
def test_each_refusal_of_a_server_leads_to_its_own_advice(reply: str, advice: str) -> None:
    said = describe_reply(ENDPOINT, reply)
    assert reply in said
    assert advice in (advice_on({"x": said}) or "")

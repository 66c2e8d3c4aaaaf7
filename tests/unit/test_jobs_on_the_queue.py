"""What is read from the queue is a job of redrepl, to the letter, or is refused."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrepl.values import limits
from redrepl.values.jobs import BRING_UP, SWEEP, Job, JobRefused, check_signature, read_job

UP, ALL = Job("shop", "b"), Job("shop", None)
KEY = "a key of the cluster"


def packed(content: object) -> bytes:
    return zlib.compress(json.dumps(content).encode())


def test_sound_jobs_are_read() -> None:
    for job in (UP, ALL, Job("a-b", "c"), Job("a", "b-c")):
        for name in job.ids:
            assert read_job(name, packed([job.function, None, list(job.arguments), {}])) == job


FORGED: dict[str, Any] = {
    "another function": ["os.system", None, ["shop", "b"], {}],
    "a function that is none": [[BRING_UP], None, ["shop", "b"], {}],
    "an instance": [BRING_UP, {}, ["shop", "b"], {}],
    "named arguments": [BRING_UP, None, ["shop", "b"], {"exactly": True}],
    "too few": [BRING_UP, None, ["shop"], {}],
    "too many": [SWEEP, None, ["shop", "b"], {}],
    "arguments that are no list": [SWEEP, None, "shop", {}],
    "no names": [BRING_UP, None, ["shop", 7], {}],
    "a name of strange letters": [BRING_UP, None, ["shop", "b\x1b[2J"], {}],
    "a part more": [BRING_UP, None, ["shop", "b"], {}, {}],
    "no list": {"a": 1},
    "a number": 1,
}


@pytest.mark.parametrize("kind", FORGED)
def test_others_are_refused(kind: str) -> None:
    for name in (*UP.ids, *ALL.ids):
        with pytest.raises(JobRefused):
            read_job(name, packed(FORGED[kind]))


def test_a_job_has_the_id_of_its_work() -> None:
    sound = packed([BRING_UP, None, ["shop", "b"], {}])
    for name in (*ALL.ids, *Job("shop", "c").ids, "any", ""):
        with pytest.raises(JobRefused, match="its id is that of another job"):
            read_job(name, sound)


def test_what_inflates_is_refused_before_it_is_inflated() -> None:
    sound = json.dumps([BRING_UP, None, ["shop", "b"], {}]).encode()
    padded = sound + b" " * (limits.MAX_JOB_INFLATED_BYTES + 1 - len(sound))
    for text in (padded, b"0" * 900_000, b"[" * 900_000):
        with pytest.raises(JobRefused, match="it is too large"):
            read_job(UP.ids[0], zlib.compress(text, 9))
    assert read_job(UP.ids[0], zlib.compress(padded[:-1])) == UP


@given(
    st.one_of(st.binary(max_size=100), st.binary(max_size=100).map(zlib.compress)),
    st.text(max_size=20),
)
def test_any_bytes_are_refused_in_one_way(data: bytes, name: str) -> None:
    with pytest.raises(JobRefused):
        read_job(name, data)


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner))
)
def test_any_content_is_refused_in_one_way(content: object) -> None:
    with pytest.raises(JobRefused):
        read_job(UP.ids[0], packed([BRING_UP, content, content, content]))
    for meta in (
        packed(content),
        json.dumps(content).encode(),
        json.dumps({"signature": content}).encode(),
    ):
        with pytest.raises(JobRefused):
            check_signature(UP, meta, KEY)


def signed(job: Job, key: str) -> bytes:
    return json.dumps({"signature": job.signature(key)}).encode()


def test_a_signature_holds_for_its_work_and_key_alone() -> None:
    check_signature(UP, signed(UP, KEY), KEY)
    for other in (Job("shop", "c"), Job("cart", "b"), ALL):
        with pytest.raises(JobRefused, match="queue_key"):
            check_signature(UP, signed(other, KEY), KEY)
    with pytest.raises(JobRefused, match="queue_key"):
        check_signature(UP, signed(UP, "another key of it"), KEY)
    for nothing in (None, b"", b"{}", b"[]", b"\xff", b"[" * 1000):
        with pytest.raises(JobRefused, match="it is not signed"):
            check_signature(UP, nothing, KEY)

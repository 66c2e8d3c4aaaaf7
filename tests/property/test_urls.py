"""Whatever a password holds, encoded or not: a url that can be read is shown as its address, any
other not at all.
"""

from __future__ import annotations

from contextlib import nullcontext
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from redrepl.edges.endpoint import split_url
from redrepl.values.errors import ConfigError
from redrepl.values.node_url import UNREADABLE, public_url

ADDRESSES = ("redis://host:6379/0", "rediss://[::1]:7/3", "valkey://host", "unix:///run/redis.sock")
PASSWORDS = st.text(st.sampled_from("ab16/?#@:%&=[] \n\u00e9\u2100"), min_size=1, max_size=12)


def _with_login(address: str, login: str) -> str:
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{login}@{rest}"


@pytest.mark.parametrize("address", ADDRESSES)
@example(password="@/", user="")
@given(password=PASSWORDS, user=st.sampled_from(["", "ada", "6379"]))
def test_a_password_as_it_is_never_becomes_a_part_of_the_address(
    address: str, password: str, user: str
) -> None:
    assert public_url(_with_login(address, f"{user}:{password}")) in (address, UNREADABLE)


@pytest.mark.parametrize("address", ADDRESSES)
@given(password=PASSWORDS)
def test_an_encoded_password_is_read_as_it_was(address: str, password: str) -> None:
    found = split_url("a", _with_login(address, f":{quote(password, safe='')}"))
    assert (found.url, found.username, found.password) == (address, None, password)


@pytest.mark.parametrize("address", ADDRESSES)
@given(password=PASSWORDS)
def test_messages_do_not_depend_on_what_cannot_be_read(address: str, password: str) -> None:
    messages = []
    for secret in (password, password.replace("a", "secret-1"), password.replace("a", "secret-2")):
        try:
            messages.append(repr(split_url("a", _with_login(address, f":{secret}"))))
        except ConfigError as error:
            messages.append(str(error))
    assert "secret" not in "".join(messages)


@given(text=st.text(st.sampled_from("redis://:@/?#&=%[]1a"), max_size=30))
def test_any_text_is_read_or_refused_with_words(text: str) -> None:
    is_readable = public_url(f"redis://{text}") != UNREADABLE
    with nullcontext() if is_readable else pytest.raises(ConfigError, match="node 'a'"):
        assert split_url("a", f"redis://{text}").reached_at == public_url(f"redis://{text}")

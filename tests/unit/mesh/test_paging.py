from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.paging import BadPageToken, PageTokens

PAGES = PageTokens("a key")


@given(st.text(), st.lists(st.text(), max_size=3))
def test_a_token_opens_to_its_cursor_for_the_same_query(cursor: str, query: list[str]) -> None:
    """What was sealed for a query opens for that query."""
    assert PAGES.open(PAGES.seal(cursor, *query), *query) == cursor


def test_the_last_page_has_no_token() -> None:
    """No cursor makes no token, and no token is the first page."""
    assert PAGES.seal("", "query") == ""
    assert PAGES.open("", "query") == ""


def test_a_token_is_good_for_its_own_query_only() -> None:
    """A token is refused with another query, also when the parts only meet elsewhere."""
    token = PAGES.seal("cursor", "ab", "c")
    for query in ((), ("ab",), ("a", "bc"), ("ab", "c", "")):
        with pytest.raises(BadPageToken):
            PAGES.open(token, *query)


def test_another_key_opens_nothing() -> None:
    """A token of another service, or of an earlier key, is refused."""
    with pytest.raises(BadPageToken):
        PageTokens("another key").open(PAGES.seal("cursor"))


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_token_is_refused(position: int, flip: int) -> None:
    """Whichever byte of a token is changed, it does not open."""
    raw = bytearray(base64.urlsafe_b64decode(PAGES.seal("fourteen bytes") + "=="))
    raw[position % len(raw)] ^= flip
    with pytest.raises(BadPageToken):
        PAGES.open(base64.urlsafe_b64encode(raw).decode())


@given(st.text(min_size=1))
def test_what_is_no_token_is_refused(text: str) -> None:
    """Any text that we did not make is refused as a bad token, never as an internal error."""
    with pytest.raises(BadPageToken) as caught:
        PAGES.open(text)
    assert caught.value.violations[0].field == "page_token"

"""The peer, as our own sidecar proves it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.call import STRANGER, Peer
from mesh.identity import ADDRESS, SECRET, XFCC, SidecarIdentity
from services.topology import WORKLOAD, spiffe_id

GOOD = f"By={spiffe_id('users')};URI={spiffe_id('gateway')}"


def peer(xfcc: str, secret: str = "secret", **more: str) -> Peer:
    metadata = {XFCC: xfcc, SECRET: secret, **more}
    return SidecarIdentity("users", "secret").peer(metadata)


def test_the_sidecar_says_who_calls() -> None:
    """One element with our own By and a known URI is that workload."""
    assert peer(GOOD) == Peer("gateway")
    assert peer(GOOD.replace("gateway", "auth")) == Peer("auth")


@pytest.mark.parametrize(
    "xfcc",
    [
        "",
        GOOD.replace("By=", "Hash=abc;By=") + f",{GOOD}",
        f"{GOOD},{GOOD}",
        f"Hash=a,b;{GOOD}",
        f'{GOOD};Subject="x"',
        f"{GOOD};URI={spiffe_id('auth')}",
        f"{GOOD};uri={spiffe_id('auth')}",
        f"{GOOD};By={spiffe_id('users')}",
        GOOD.replace("users", "auth"),
        GOOD.replace("gateway", "stranger"),
        GOOD.replace("tulle.local", "evil.local"),
        GOOD.replace("By=", ""),
        f"By={spiffe_id('users')}",
        f"URI={spiffe_id('gateway')}",
        f'By={spiffe_id("users")};URI="{spiffe_id("gateway")}"',
        f'By={spiffe_id("users")};Subject="x;URI={spiffe_id("gateway")}"',
        f"By={spiffe_id('users')};URI= {spiffe_id('gateway')}",
    ],
)
def test_anything_else_is_a_stranger(xfcc: str) -> None:
    """Absent, doubled, foreign, repeated, quoted or misspelt: nobody."""
    assert peer(xfcc) == STRANGER


@given(st.text(alphabet=st.sampled_from(sorted({*'ByURIHash=;," ', *GOOD})), max_size=200))
def test_what_is_not_the_proof_proves_nothing(xfcc: str) -> None:
    """Whatever the header holds, who is found was named by exactly one By and one URI."""
    found = peer(xfcc)
    assert found == STRANGER or (found.workload in WORKLOAD and xfcc.lower().count("uri=") == 1)


@pytest.mark.parametrize("secret", ["", "Secret", "secret ", "s", "sécret"])
def test_without_the_secret_nobody_is_known(secret: str) -> None:
    """A call on the socket that did not come through the sidecar is a stranger's."""
    assert peer(GOOD, secret) == STRANGER


def test_only_the_gateway_knows_addresses() -> None:
    """The client's address is believed from the gateway alone."""
    address = {ADDRESS: "203.0.113.9"}
    assert peer(GOOD, **address).address == "203.0.113.9"
    assert peer(GOOD.replace("gateway", "auth"), **address).address == ""


def test_an_empty_secret_is_no_secret() -> None:
    """A service does not start with an empty secret: every caller would know it."""
    with pytest.raises(ValueError, match="empty"):
        SidecarIdentity("users", "")

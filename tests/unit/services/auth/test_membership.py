"""The rules of organisations, as pure functions."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from mesh.model import Caller, Denied, OrganisationId, SessionId, User, UserId
from services.auth.domain.errors import LastOwner, MemberNotFound, MembershipEnded, OwnersOnly, PersonalOrganisation
from services.auth.domain.membership import MANAGER, MEMBER, OWNER, Roster, as_mailed, may_decide_about

HERE = OrganisationId("organisation_1")
ADA, BOB, EVE = UserId("user_ada"), UserId("user_bob"), UserId("user_eve")
ROSTER = Roster(HERE, MappingProxyType({ADA: OWNER, BOB: MANAGER}), "Torres", 1)


def caller(user_id: UserId) -> Caller:
    return Caller("gateway", User(user_id, HERE, SessionId("session_1")))


def test_there_is_always_an_owner() -> None:
    """The last owner neither leaves nor takes another role; with a second one either may."""
    two = ROSTER.changed(BOB, OWNER)
    with pytest.raises(LastOwner):
        ROSTER.without(ADA)
    with pytest.raises(LastOwner):
        ROSTER.changed(ADA, MEMBER)
    assert dict(two.without(ADA).roles) == {BOB: OWNER}
    assert dict(two.changed(ADA, MEMBER).roles) == {ADA: MEMBER, BOB: OWNER}


def test_only_those_who_are_in_it_change_and_go() -> None:
    """Somebody who is not in an organisation has no role there to lose."""
    for attempt in (lambda: ROSTER.without(EVE), lambda: ROSTER.changed(EVE, OWNER), lambda: ROSTER.role_of(EVE)):
        with pytest.raises(MemberNotFound):
            attempt()


def test_a_roster_says_in_which_role_somebody_acts() -> None:
    """As of its own version, whatever their token says."""
    assert ROSTER.acting(caller(BOB), OWNER, MANAGER) == MANAGER
    with pytest.raises(Denied):
        ROSTER.acting(caller(BOB), OWNER)
    with pytest.raises(MembershipEnded):
        ROSTER.acting(caller(EVE), OWNER)


def test_a_personal_organisation_is_its_owner_s_alone() -> None:
    """Its owner acts in it and cannot leave, and nobody else is let in."""
    personal = Roster.personal(HERE, ADA)
    assert personal.is_personal and not ROSTER.is_personal
    assert personal.acting(caller(ADA), OWNER) == OWNER
    with pytest.raises(LastOwner):
        personal.without(ADA)
    with pytest.raises(PersonalOrganisation):
        personal.shared()
    assert ROSTER.shared() is ROSTER


@pytest.mark.parametrize(
    ("actor", "role", "may"), [(OWNER, OWNER, True), (MANAGER, MANAGER, True), (MANAGER, OWNER, False)]
)
def test_owners_are_made_and_removed_by_owners(actor: str, role: str, may: bool) -> None:
    """A manager decides about everybody but owners."""
    if may:
        may_decide_about(actor, role)
    else:
        with pytest.raises(OwnersOnly):
            may_decide_about(actor, role)


@pytest.mark.parametrize(
    ("name", "mailed"),
    [
        ("Torres & Daughters", "Torres & Daughters"),
        ("Dr. Ö. Torres", "Dr. Ö. Torres"),
        ("Booking.com", "Booking. com"),
        ("www.evil.example", "www. evil. example"),
        ("https://evil.example/x", "https: / / evil. example/ x"),
        ("a@evil.example", "a@ evil. example"),
        ("Torres\u202egnp.exe", "Torresgnp. exe"),
        ("a\u200b.b", "a. b"),
    ],
)
def test_a_name_leads_nobody_anywhere(name: str, mailed: str) -> None:
    """In a mail no part of a name looks like a link, and nothing is in it that cannot be seen."""
    assert as_mailed(name) == mailed

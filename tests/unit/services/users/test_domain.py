from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model import Caller, OrganisationId, SessionId, Unauthenticated, User, UserId, new_id
from services.users.domain import (
    ATTEMPTS,
    DEFAULT_PAGE,
    LARGEST_PAGE,
    PreferencesChange,
    PreferencesUpdated,
    Profile,
    ProfileChange,
    ProfileNotFound,
    ProfileUpdated,
    PublicProfile,
    StalePreferences,
    StaleProfile,
    Theme,
    UnknownTimeZone,
    Users,
    WeekStart,
)
from tests.fakes.users import FakeStore

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
ORGANISATION = OrganisationId("organisation_1")


def caller(user_id: str = "user_ada") -> Caller:
    return Caller("gateway", User(UserId(user_id), ORGANISATION, SessionId("session_1")), request_id="request_1")


ADA = caller("user_ada")
BOB = caller("user_bob")


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def users(store: FakeStore) -> Users:
    return Users(store, lambda: NOON)


async def make(users: Users, *names: str) -> None:
    for name in names:
        await users.welcome(UserId(name), ORGANISATION)


class TestProfile:
    profile = Profile(user_id=UserId("user_ada"), organisation_id=ORGANISATION, create_time=NOON, update_time=NOON)
    texts = st.none() | st.text(max_size=5)
    zones = st.sampled_from([None, "", "UTC", "Europe/Lisbon"])
    changes = st.builds(
        ProfileChange, display_name=texts, handle=texts, locale=texts, time_zone=zones, avatar_url=texts
    )

    @given(changes)
    def test_a_change_made_twice_is_made_once(self, change: ProfileChange) -> None:
        """A change that makes no difference gives the same version."""
        once = self.profile.changed(change, LATER)
        assert once.changed(change, LATER + timedelta(hours=1)) is once

    @given(changes)
    def test_a_new_version_is_a_difference(self, change: ProfileChange) -> None:
        """The version rises by one, and the time moves, exactly when a field differs."""
        new = self.profile.changed(change, LATER)
        if new is not self.profile:
            assert (new.version, new.update_time) == (1, LATER)
            assert new != replace(self.profile, version=1, update_time=LATER)

    def test_clearing_returns_to_the_default(self) -> None:
        """An empty locale or time zone is the default one."""
        abroad = self.profile.changed(ProfileChange(locale="pt", time_zone="Europe/Lisbon"), LATER)
        home = abroad.changed(ProfileChange(locale="", time_zone=""), LATER)
        assert (home.locale, home.time_zone) == ("en", "UTC")

    @pytest.mark.parametrize("zone", ["Europe/Atlantis", "europe/lisbon", "../UTC", "localtime"])
    def test_time_zones_are_of_the_iana_database(self, zone: str) -> None:
        """A time zone that IANA does not know is refused, naming the field."""
        with pytest.raises(UnknownTimeZone) as caught:
            self.profile.changed(ProfileChange(time_zone=zone), LATER)
        assert caught.value.violations[0].field == "profile.time_zone"

    def test_an_old_etag_is_refused_even_if_nothing_would_change(self) -> None:
        """The etag is compared before anything else (AIP-154)."""
        with pytest.raises(StaleProfile):
            self.profile.changed(ProfileChange(etag="1"), LATER)
        assert self.profile.changed(ProfileChange(etag=self.profile.etag), LATER) is self.profile


class TestReading:
    async def test_your_own_profile_is_whole(self, users: Users) -> None:
        """An empty id and your own id give all of your own profile."""
        await make(users, "user_ada")
        mine = await users.profile(ADA, "")
        assert isinstance(mine, Profile)
        assert mine == await users.profile(ADA, "user_ada")
        assert (mine.locale, mine.time_zone, mine.version) == ("en", "UTC", 0)

    async def test_others_see_the_public_part(self, users: Users) -> None:
        """Another's id gives id, handle, display name and picture only."""
        await make(users, "user_ada", "user_bob")
        await users.update_profile(ADA, ProfileChange(handle="ada", display_name="Ada", locale="pt"))
        assert await users.profile(BOB, "user_ada") == PublicProfile(UserId("user_ada"), "Ada", "ada", "")

    async def test_an_unknown_id_is_not_found(self, users: Users) -> None:
        """Nobody's profile is made by asking for it."""
        for _ in range(2):
            with pytest.raises(ProfileNotFound):
                await users.profile(ADA, "user_bob")

    async def test_who_comes_before_their_event_is_welcome(self, users: Users) -> None:
        """A signed-in person has a profile and preferences, though AccountCreated was not consumed yet."""
        early = await users.profile(ADA, "")
        assert await users.preferences(ADA)
        await make(users, "user_ada")
        assert await users.profile(ADA, "") == early

    async def test_the_event_says_whose_a_profile_is(self, users: Users) -> None:
        """Who came first with a token for another organisation has a profile in their own once they are announced."""
        team = OrganisationId("organisation_of_others")
        early = replace(ADA, user=replace(ADA.signed_in, organisation_id=team))
        await users.update_profile(early, ProfileChange(handle="ada"))
        assert await users.preferences(early)
        await users.settle(ADA.signed_in.user_id, ORGANISATION)
        settled, theirs = await users.profile(early, ""), await users.preferences(early)
        assert isinstance(settled, Profile)
        assert (settled.organisation_id, settled.handle, theirs.organisation_id) == (ORGANISATION, "ada", ORGANISATION)

    async def test_the_event_does_not_undo_an_early_change(self, users: Users) -> None:
        """What a person changed before their event arrived stays."""
        await users.update_profile(ADA, ProfileChange(handle="ada"))
        await make(users, "user_ada")
        assert (await users.batch([UserId("user_ada")]))[0].handle == "ada"

    async def test_nobody_has_no_profile(self, users: Users) -> None:
        """A call without an end user is refused, should the pipeline ever let it through."""
        with pytest.raises(Unauthenticated):
            await users.profile(Caller("gateway"), "")


class TestChanging:
    async def test_a_change_is_announced_with_its_fields(self, users: Users, store: FakeStore) -> None:
        """The event names who, whose and which fields, and no value."""
        await users.update_profile(ADA, ProfileChange(handle="ada", locale="en", display_name="Ada"))
        ((place, event),) = store.events
        assert isinstance(event, ProfileUpdated)
        assert (place, event.fields) == (1, ("display_name", "handle"))
        assert (event.aggregate_id, event.actor, event.causation_id) == ("user_ada", "user_ada", "request_1")

    async def test_no_difference_is_not_announced(self, users: Users, store: FakeStore) -> None:
        """A change that changes nothing makes no event and no version."""
        profile = await users.update_profile(ADA, ProfileChange(locale="en"))
        await users.update_preferences(ADA, PreferencesChange(product_news=False))
        assert (store.events, profile.version) == ([], 0)

    async def test_preferences_change_on_their_own(self, users: Users, store: FakeStore) -> None:
        """Preferences have their own version and event."""
        change = PreferencesChange(theme=Theme.DARK, week_start=WeekStart.MONDAY)
        preferences = await users.update_preferences(ADA, change)
        assert (preferences.etag, preferences.theme) == ("1", Theme.DARK)
        assert [type(event) for _, event in store.events] == [PreferencesUpdated]
        with pytest.raises(StalePreferences):
            await users.update_preferences(ADA, PreferencesChange(etag="0", theme=Theme.LIGHT))

    async def test_an_overtaken_change_is_made_on_top(self, users: Users, store: FakeStore) -> None:
        """Without an etag, a change that somebody overtakes is made to what they left."""
        overtake(store, users, times=ATTEMPTS - 1)
        profile = await users.update_profile(ADA, ProfileChange(handle="ada"))
        assert (profile.handle, profile.display_name) == ("ada", f"Other {ATTEMPTS - 1}")

    async def test_the_attempts_are_bounded(self, users: Users, store: FakeStore) -> None:
        """Who is overtaken too often is told so."""
        overtake(store, users, times=ATTEMPTS)
        with pytest.raises(StaleProfile):
            await users.update_profile(ADA, ProfileChange(handle="ada"))

    async def test_with_an_etag_the_overtaken_is_told(self, users: Users, store: FakeStore) -> None:
        """With an etag, nobody's change in between is overwritten."""
        overtake(store, users, times=1)
        with pytest.raises(StaleProfile):
            await users.update_profile(ADA, ProfileChange(etag="0", handle="ada"))


class TestLists:
    async def test_a_batch_keeps_the_order_and_drops_twins(self, users: Users) -> None:
        """Profiles come in the order asked for, each once, unknown ones left out."""
        await make(users, "user_1", "user_2", "user_3")
        found = await users.batch([UserId(i) for i in ("user_3", "user_9", "user_1", "user_3")])
        assert [profile.user_id for profile in found] == ["user_3", "user_1"]

    @given(total=st.integers(0, 12), size=st.integers(1, 5))
    async def test_pages_together_are_everybody(self, total: int, size: int) -> None:
        """Whatever the page size, the pages hold everybody once, in order of joining."""
        users = Users(FakeStore(), lambda: NOON)
        everybody = [new_id("user", at) for at in range(total)]
        await make(users, *everybody)
        pages = [page async for page in all_pages(users, size)]
        assert [profile.user_id for page in pages for profile in page] == everybody
        assert all(len(page) == size for page in pages[:-1])

    async def test_pages_have_a_usual_and_a_largest_size(self, users: Users) -> None:
        """0 asks for the usual size, and no page is larger than the largest (AIP-158)."""
        await make(users, *(f"user_{i:04}" for i in range(LARGEST_PAGE + 1)))
        assert len((await users.list_users("", "", 0)).profiles) == DEFAULT_PAGE
        assert len((await users.list_users("", "", LARGEST_PAGE + 1)).profiles) == LARGEST_PAGE

    async def test_a_prefix_chooses_handles(self, users: Users) -> None:
        """With a prefix only those are listed whose handle begins with it."""
        for name in ("ada", "adele", "bob"):
            await users.update_profile(caller(f"user_{name}"), ProfileChange(handle=name))
        await make(users, "user_none")
        assert [p.handle for p in (await users.list_users("ad", "", 0)).profiles] == ["ada", "adele"]


async def all_pages(users: Users, size: int) -> AsyncIterator[tuple[Profile, ...]]:
    after = ""
    while True:
        page = await users.list_users("", after, size)
        yield page.profiles
        if not (after := page.after):
            return


def overtake(store: FakeStore, users: Users, times: int) -> None:
    """Let somebody change Ada's profile between reading and saving, as often as said."""
    save, left = store.save_profile, iter(range(1, times + 1))

    async def overtaken(profile: Profile, event: ProfileUpdated) -> None:
        if (n := next(left, None)) is not None:
            old = await store.profile(profile.user_id)
            assert old is not None
            await save(old.changed(ProfileChange(display_name=f"Other {n}"), LATER), event)
        await save(profile, event)

    store.save_profile = overtaken  # type: ignore[method-assign]

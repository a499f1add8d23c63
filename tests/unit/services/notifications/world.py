"""Everything around sending, played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mesh.model import UserId
from services.notifications.domain.deliveries import Addressee, Delivery, Letter, Reason, State
from services.notifications.domain.judging import Judging
from services.notifications.domain.preferences import Choosing, PreferencesChange
from services.notifications.domain.pushing import Pushing, Reader
from services.notifications.domain.sending import Sending
from services.notifications.domain.unsubscribing import Links
from tests.fakes.notification_preferences import FakePreferences
from tests.fakes.notifications import FakeStore

ADA = UserId("user_ada")


@dataclass
class World:
    """`fails`: what the next attempts meet; `kind`: that of mails of auth; `sent`: Message-IDs."""

    store: FakeStore = field(default_factory=FakeStore)
    preferences: FakePreferences = field(default_factory=FakePreferences)
    now: datetime = datetime(2026, 1, 2, tzinfo=UTC)
    kind: str = "reset"
    lives_in: str = "UTC"
    reads: str = "de"
    browsers: int = 1
    pushed: list[tuple[str, int]] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    nobody: bool = False

    @property
    def sending(self) -> Sending:
        judging, links = Judging(self.store, self.preferences, lambda: self.now), Links(b"key", "http://x")
        pushing = Pushing(judging, self, self)
        return Sending(self.store, judging, self, self, self, links, pushing, b"key", lambda: self.now)

    async def addressee(self, delivery: Delivery) -> Addressee | None:
        if self.nobody:
            return None
        return Addressee(
            email="Ada@example.com",
            kind=self.kind if delivery.mail_id else delivery.kind,
            user_id=delivery.user_id,
            zone=self.lives_in,
            create_time=delivery.create_time,
            variables=delivery.variables,
        )

    async def reader(self, user_id: UserId) -> Reader:
        return Reader(self.lives_in, self.reads)

    async def tell(self, user_id: UserId, kind: str, variables: Mapping[str, str], number: int, locale: str) -> int:
        assert locale == self.reads
        self.pushed += [(kind, number)] * self.browsers
        return self.browsers

    def written(self, kind: str, locale: str, variables: Mapping[str, str], unsubscribe: str = "") -> Letter:
        return Letter(f"{kind} {variables.get('number', '')}".strip(), variables.get("items", ""), "", unsubscribe)

    async def send(self, letter: Letter, addressee: Addressee, message_id: str) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.sent.append(message_id)
        self.letters.append(letter)

    async def wanted(self, name: str = "1", repeatable: bool = True, kind: str = "") -> None:
        """A mail of auth, or (of a `kind`) one about something else."""
        await self.store.add(
            Delivery(
                delivery_id=f"delivery_{name}",
                event_id=f"event_{name}",
                kind=kind,
                user_id=ADA,
                mail_id="" if kind else f"mail_{name}",
                variables={"number": name} if kind else {},
                repeatable=repeatable and not kind,
                create_time=self.now,
                not_before=self.now,
            )
        )

    async def wants(self, change: PreferencesChange) -> None:
        await Choosing(self.preferences, lambda: self.now).update(ADA, change)

    async def work(self) -> None:
        """Attempt everything that is due."""
        while await self.sending.send_next():
            pass

    def told(self, name: str = "1") -> tuple[State, Reason]:
        found = self.store.kept[f"delivery_{name}"]
        return found.state, found.reason

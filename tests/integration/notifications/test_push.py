"""Pushes against a real push service over HTTP: one that decrypts as a browser would, and checks who sends."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from infra.postgres import Database, open_database
from mesh.model import UserId, new_id
from mesh.tasks import ended
from services.notifications.domain.deliveries import State as Delivered
from services.notifications.domain.judging import Judging
from services.notifications.domain.pushing import Pushing, Reader
from services.notifications.inbox.domain import Inbox, words
from services.notifications.inbox.limits import WATCH_EVERY
from services.notifications.inbox.store import PostgresInboxes
from services.notifications.inbox.watching import Watching
from services.notifications.main import Settings, _now
from services.notifications.preferences_store import PostgresPreferences
from services.notifications.push import courier
from services.notifications.push.checking import checked
from services.notifications.push.courier import HttpCourier, PushWorker, open_client
from services.notifications.push.domain import Answer, BadEndpoint, Pushes, State, Unclear
from services.notifications.push.encryption import Vapid
from services.notifications.push.limits import PUSH_POLL
from services.notifications.push.store import PostgresPushes
from services.notifications.store import PostgresStore
from services.notifications.telling import Telling
from tests.integration.notifications.browsers import Browser, Service, push_service
from tests.servers import PASSWORD, Postgres

NOTICE = json.dumps({"title": "Zahlung fehlgeschlagen", "body": "Grüße"}, ensure_ascii=False).encode()


@pytest.fixture
def service() -> Iterator[Service]:
    with push_service() as made:
        yield made


@pytest.fixture
def vapid() -> Vapid:
    return Vapid("secret", "mailto:push@example.com")


@pytest.fixture
async def sender(vapid: Vapid) -> AsyncIterator[HttpCourier]:
    async with open_client(loopback=True) as client:
        yield HttpCourier(client, vapid)


async def test_only_the_browser_reads_it(service: Service, sender: HttpCourier) -> None:
    """The push service gets a body that only the browser's key opens, another each time, and how long to keep it."""
    browser = Browser()
    for _ in range(2):
        assert await sender.send(service.endpoint(browser), NOTICE, 120.4) == Answer(201)
    bodies = [body for _, _, body in service.heard]
    assert [browser.read(body) for body in bodies] == [NOTICE, NOTICE]
    assert bodies[0][:86] != bodies[1][:86]
    assert b"Zahlung" not in bodies[0]
    path, headers, _ = service.heard[0]
    assert (path, headers["host"], headers["ttl"]) == ("/send/x", f"127.0.0.1:{service.port}", "120")
    assert headers["content-encoding"] == "aes128gcm"


async def test_the_push_service_knows_who_sends(service: Service, sender: HttpCourier, vapid: Vapid) -> None:
    """Whoever has the key that browsers subscribe with signs, for this origin alone and not for long (RFC 8292)."""
    await sender.send(service.endpoint(Browser()), NOTICE, 60)
    scheme, _, rest = service.heard[0][1]["authorization"].partition(" ")
    given = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert (scheme, given["k"]) == ("vapid", vapid.public_key)
    point = base64.urlsafe_b64decode(given["k"] + "=")
    number = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (point[1:33], point[33:])]
    key = ECKey.import_key({"kty": "EC", "crv": "P-256", "x": number[0], "y": number[1]})
    token = jwt.decode(given["t"], key, algorithms=["ES256"])
    assert token.claims["aud"] == f"http://127.0.0.1:{service.port}"
    assert token.claims["sub"] == "mailto:push@example.com"
    assert 0 < token.claims["exp"] - datetime.now(UTC).timestamp() <= 86400


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ((410, {}), Answer(410)),
        ((429, {"retry-after": "30"}), Answer(429, 30)),
        ((503, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}), Answer(503)),
    ],
)
async def test_what_it_says_is_told(
    service: Service, sender: HttpCourier, said: tuple[int, Mapping[str, str]], answer: Answer
) -> None:
    """Its status, and when to come again."""
    service.says.append(said)
    assert await sender.send(service.endpoint(Browser()), NOTICE, 60) == answer


async def test_redirects_are_not_followed(service: Service, sender: HttpCourier) -> None:
    """Wherever it points to, nothing goes there."""
    service.says.append((307, {"location": f"http://127.0.0.1:{service.port}/elsewhere"}))
    assert (await sender.send(service.endpoint(Browser()), NOTICE, 60)).status == 307
    assert len(service.heard) == 1


async def test_a_lost_answer_is_unclear(service: Service, sender: HttpCourier) -> None:
    """The push was taken, perhaps: whoever sends must not send it again."""
    service.silent.set()
    with pytest.raises(Unclear):
        await sender.send(service.endpoint(Browser()), NOTICE, 60)
    assert len(service.heard) == 1


async def test_who_never_answers_is_left(sender: HttpCourier, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt has its time, whatever the other side does."""
    monkeypatch.setattr(courier, "PUSH_WITHIN", 0.2)
    held: list[Any] = []
    server = await asyncio.start_server(lambda *pair: held.append(pair), "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(Unclear):
            await sender.send(Service().endpoint(Browser(), url), NOTICE, 60)
        for _, writer in held:
            writer.close()


async def test_nobody_there_is_not_sent(sender: HttpCourier) -> None:
    """A connection that was never made has brought nothing: it may be tried again."""
    assert await sender.send(Service(port=9).endpoint(Browser()), NOTICE, 60) == Answer(0)


async def test_a_name_that_leads_inside_gets_nothing(
    service: Service, vapid: Vapid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is where a connection would go, however good the name looks: all addresses must be public."""
    browser, seen = Browser(), []

    async def leads_inside(host: str, port: int, **_: object) -> list[Any]:
        seen.append(host)
        return [(0, 0, 0, "", ("93.184.216.34", port)), (0, 0, 0, "", ("127.0.0.1", port))]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", leads_inside, raising=False)
    async with open_client(loopback=False) as client:
        with pytest.raises(BadEndpoint):
            await HttpCourier(client, vapid).send(service.endpoint(browser, "https://good.example.net/x"), NOTICE, 60)
        with pytest.raises(BadEndpoint):
            await HttpCourier(client, vapid).send(service.endpoint(browser), NOTICE, 60)
    assert seen == ["good.example.net"]
    assert service.heard == []


async def test_what_somebody_is_told_reaches_their_browser(
    postgres: Postgres, tmp_path: Path, service: Service, sender: HttpCourier
) -> None:
    """From one call in a transaction: a message in the inbox, and a push that says where it stands; once each."""
    (tmp_path / "postgres").write_text(PASSWORD)
    folders: dict[str, Any] = {"run_dir": tmp_path, "state_dir": tmp_path, "secrets_dir": tmp_path}
    database_name = await postgres.new_database()
    settings = Settings(**folders, postgres_port=postgres.port, postgres_database=database_name)
    async with open_database(settings) as database:
        telling, ada, browser = _telling(database), UserId(new_id("user")), Browser()
        pushes = Pushes(PostgresPushes(database), sender, checked(loopback=True), words, _now)
        await pushes.store.register(replace(service.endpoint(browser), user_id=ada), 10)
        with pytest.raises(ZeroDivisionError):
            await _told(database, telling, ada, fails=True)
        await _told(database, telling, ada)
        (delivery,) = [one for one in await telling.store.list_deliveries(ada, "", "", 10) if one.channel == "push"]
        judging = Judging(telling.store, telling.preferences, _now)
        assert (await Pushing(judging, Lisbon(), pushes).attempted(delivery)).state is Delivered.SENT
        working = [asyncio.create_task(PushWorker(pushes).run()) for _ in range(2)]
        await _until(lambda: len(service.heard) >= 1)
        await asyncio.sleep(2 * PUSH_POLL)
        await ended(*working)
        (endpoint,) = await pushes.store.endpoints(ada)
        (message,) = await telling.inbox.store.after(ada, 0, 10)
    ((_, _, body),) = service.heard
    told = json.loads(browser.read(body))
    assert (told["kind"], told["title"], told["number"]) == ("payment_failed", "Pagamento falhado", str(message.number))
    assert endpoint.last_state is State.SENT


class Lisbon:
    """Everybody lives there, and reads Portuguese."""

    async def reader(self, user_id: UserId) -> Reader:
        return Reader("Europe/Lisbon", "pt-PT")


def _telling(database: Database) -> Telling:
    inboxes = PostgresInboxes(database)
    inbox = Inbox(inboxes, Watching(inboxes.versions, WATCH_EVERY).bell, _now)
    return Telling(PostgresStore(database), inbox, PostgresPreferences(database), _now)


async def _told(database: Database, telling: Telling, user: UserId, *, fails: bool = False) -> None:
    async with database.transaction():
        await telling.tell(new_id("event"), user, "payment_failed", {"invoice_id": "invoice_1"})
        if fails:
            raise ZeroDivisionError


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 (what is waited for tells nobody)
            await asyncio.sleep(0.02)

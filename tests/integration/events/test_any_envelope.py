"""Whatever a message says, its delivery ends: in an effect, in waiting, or as one dead letter."""

from __future__ import annotations

import asyncio
import random
import string
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nats.aio.msg import Msg
from tulle.auth.v1 import events_pb2
from tulle.event.v1 import event_pb2

from infra.events.bus import Bus
from infra.events.consumer import Consumer
from infra.events.received import PREVIOUS
from infra.postgres import Database, open_database
from infra.settings import ServiceSettings
from tests.integration.events.story import noting
from tests.servers import PASSWORD, Postgres

EXAMPLES = 200
STRING = FieldDescriptor.TYPE_STRING


def _long(seed: int) -> str:
    """Too long for an index, however well it is packed."""
    return "".join(random.Random(seed).choices(string.printable, k=9000))


texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.sampled_from(["", "\0", "a\0b", "\N{REPLACEMENT CHARACTER}", "\uffff", "\U0010ffff" * 255]),
    st.integers(0, 99).map(_long),
)
payloads = st.one_of(
    st.binary(max_size=50), texts.map(lambda text: events_pb2.AccountCreated(user_id=text).SerializeToString())
)
GOOD: dict[str, Any] = {
    "event_id": "event_1",
    "type": "tulle.auth.v1.AccountCreated",
    "source": "auth",
    "resource": "account",
    "aggregate_id": "user_1",
    "aggregate_seq": 1,
}
ODD: dict[str, st.SearchStrategy[Any]] = {
    **{name: texts for name, field in event_pb2.Event.DESCRIPTOR.fields_by_name.items() if field.type == STRING},
    "schema_version": st.integers(0, 2**32 - 1),
    "aggregate_seq": st.sampled_from([0, 2, 2**63 - 1, 2**63, 2**64 - 1]),
    "time": st.builds(dict, seconds=st.integers(-(2**63), 2**63 - 1), nanos=st.integers(-(2**31), 2**31 - 1)),
    "payload": payloads,
}
envelopes = (
    st.lists(st.sampled_from(list(ODD)), max_size=3, unique=True)
    .flatmap(lambda names: st.fixed_dictionaries({name: ODD[name] for name in names}))
    .map(lambda odd: event_pb2.Event(**(GOOD | odd)).SerializeToString())
)
places = st.integers(0, 2**70).map(str) | st.sampled_from(["", "0", "-1", "x", "9" * 5000, "\u0663"])
headers: st.SearchStrategy[Any] = st.none() | st.just({}) | places.map(lambda place: {PREVIOUS: f"users={place}"})
subjects = st.just("tulle.auth.account_created") | st.just("tulle.auth.account\0created")


class Acknowledged:
    """In the place of the connection: counts the acknowledgements."""

    def __init__(self) -> None:
        self.count = 0

    async def publish(self, *_: object, **__: object) -> None:
        self.count += 1


def _message(client: Any, subject: str, data: bytes, headers: dict[str, str] | None) -> Msg:
    return Msg(client, subject, "$JS.ACK.TULLE_AUTH.users.1.1.1.1.0", data, headers)


async def _ends(database: Database, consumer: Consumer, subject: str, data: bytes, headers: Any) -> None:
    async with database.connection() as connection:
        await connection.execute("TRUNCATE inbox, parked, effects")
    client = Acknowledged()
    for _ in range(2):
        await consumer.take(_message(client, subject, data, headers))
    async with database.connection() as connection:
        count = "SELECT (SELECT count(*) FROM effects) + (SELECT count(*) FROM parked)"
        assert await connection.fetchval(count) == 1
    assert client.count == 2


def test_any_envelope_ends_somewhere(postgres: Postgres, tmp_path: Path) -> None:
    """It is acknowledged at its first delivery and has one effect or one row, also if it comes again."""
    (tmp_path / "postgres").write_text(PASSWORD)
    folders: dict[str, Any] = dict.fromkeys(("run_dir", "state_dir", "secrets_dir"), tmp_path)

    with asyncio.Runner() as runner:

        async def opened() -> tuple[Any, Database]:
            name = await postgres.new_database()
            given = ServiceSettings(workload="users", postgres_port=postgres.port, postgres_database=name, **folders)
            context = open_database(given)
            database = await context.__aenter__()
            async with database.connection() as connection:
                await connection.execute(
                    "CREATE TABLE effects (place bigserial, event_id text, aggregate_id text, aggregate_seq bigint)"
                )
            return context, database

        context, database = runner.run(opened())
        consumer = Consumer(database, Bus("", "users", ""), "users", noting(database))

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(subjects, envelopes | st.binary(max_size=50), headers)
        def ends(subject: str, data: bytes, headers: Any) -> None:
            runner.run(_ends(database, consumer, subject, data, headers))

        try:
            ends()
        finally:
            runner.run(context.__aexit__(None, None, None))

"""The auth process, top to bottom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta

import pyotp
from tulle.auth.v1.api_keys_pb2_grpc import add_ApiKeysServiceServicer_to_server
from tulle.auth.v1.auth_pb2_grpc import (
    add_AccountsServiceServicer_to_server,
    add_AuthServiceServicer_to_server,
    add_KeysServiceServicer_to_server,
)
from tulle.auth.v1.contacts_pb2_grpc import add_ContactsServiceServicer_to_server
from tulle.auth.v1.organisations_pb2_grpc import add_OrganisationsServiceServicer_to_server
from tulle.auth.v1.passkeys_pb2_grpc import add_PasskeysServiceServicer_to_server
from tulle.event.v1.operations_pb2_grpc import add_EventsServiceServicer_to_server

from infra import limits
from infra.cache import open_cache
from infra.events.backlog import Backlogs
from infra.events.bus import open_bus
from infra.events.relay import Relay
from infra.events.servicer import EventsServicer
from infra.housekeeping import Housekeeping
from infra.idempotency import Idempotency
from infra.postgres import Connection, open_database
from infra.settings import Origins, ServiceSettings
from mesh.app import App
from mesh.contract import contract
from mesh.jwks import Keys
from mesh.paging import PageTokens
from mesh.server import main
from mesh.tokens import TokenVerifier
from services.auth import api_keys_store, organisations_store, passkeys_store
from services.auth.api_keys_servicer import ApiKeysServicer
from services.auth.api_keys_store import PostgresApiKeys
from services.auth.ceremonies import WebAuthn
from services.auth.common import common_passwords
from services.auth.domain.accounts import Accounts
from services.auth.domain.api_keys import ApiKeys
from services.auth.domain.authentication import Authentication
from services.auth.domain.codes import STEP, Codes
from services.auth.domain.contacts import Contacts
from services.auth.domain.credentials import Credentials
from services.auth.domain.devices import Devices
from services.auth.domain.organisations import Organisations
from services.auth.domain.passkeys import Passkeys
from services.auth.domain.second_factor import SecondFactor
from services.auth.domain.sessions import Sessions
from services.auth.hashing import Argon2, share_one_arena
from services.auth.keys import KeyRing
from services.auth.limits import DEVICE_KEPT, DEVICES_KEPT, MAILS_KEPT, ORGANISATIONS
from services.auth.organisations_servicer import OrganisationsServicer
from services.auth.organisations_store import PostgresOrganisations
from services.auth.passkeys_servicer import PasskeysServicer
from services.auth.passkeys_store import PostgresPasskeys
from services.auth.sealing import AesBox
from services.auth.servicer import AccountsServicer, AuthServicer, ContactsServicer, KeysServicer
from services.auth.store import PostgresStore, sql
from services.auth.throttle import Throttle


class Settings(ServiceSettings):
    """What auth needs of its own."""

    workload: str = "auth"
    passkey_origins: Origins = ()
    """Origins of the pages on which people use passkeys, with commas between; the public URL's if empty."""
    passkey_domain: str = ""
    """The domain that these are in, for which passkeys are made (the RP id); the first one's host name if empty."""


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The service, ready to serve and to consume."""
    token_key, pepper = settings.secret("token-key").encode(), settings.secret("pepper")
    box = AesBox(settings.secret("encryption-key"))
    async with open_database(settings) as database, open_bus(settings) as bus, open_cache(settings) as cache:
        with closing(Argon2(pepper)) as hasher:
            store, throttle = PostgresStore(database), Throttle(cache)
            keys = KeyRing(database, box, settings.public_url, _now)
            codes = Codes(store, box, _code_at, pepper.encode(), _now)
            authentication = Authentication(store, hasher, throttle, codes)
            accounts = Accounts(store, authentication, hasher, throttle, common_passwords(), token_key, _now)
            second_factor = SecondFactor(store, authentication, accounts, codes)
            devices = Devices(pepper.encode(), DEVICES_KEPT)
            sessions = Sessions(store, authentication, devices, keys, token_key, _now)
            ceremonies = WebAuthn(settings.passkey_origins or (settings.public_url,), settings.passkey_domain)
            kept = PostgresPasskeys(database)
            passkeys = Passkeys(kept, ceremonies, authentication, accounts, sessions, _now)
            api_keys = ApiKeys(PostgresApiKeys(database), authentication, accounts, keys, contract().scopes, _now)
            credentials = Credentials(sessions, api_keys)
            organisations = Organisations(PostgresOrganisations(database), accounts, ORGANISATIONS, _now)
            pages = PageTokens(settings.secret("page-key"))
            backlogs = Backlogs(database, bus, settings.workload)
            yield App(
                workload=settings.workload,
                servicers=(
                    (add_AuthServiceServicer_to_server, AuthServicer(accounts, sessions, second_factor)),
                    (add_KeysServiceServicer_to_server, KeysServicer(keys)),
                    (add_AccountsServiceServicer_to_server, AccountsServicer(accounts, credentials)),
                    (add_ContactsServiceServicer_to_server, ContactsServicer(Contacts(store, token_key))),
                    (add_PasskeysServiceServicer_to_server, PasskeysServicer(passkeys)),
                    (add_ApiKeysServiceServicer_to_server, ApiKeysServicer(api_keys)),
                    (
                        add_OrganisationsServiceServicer_to_server,
                        OrganisationsServicer(organisations, sessions, pages),
                    ),
                    (add_EventsServiceServicer_to_server, EventsServicer(database, backlogs, settings.workload)),
                ),
                tokens=TokenVerifier(Keys(keys.jwks), settings.public_url),
                sessions=credentials,
                idempotency=Idempotency(database),
                ready=(database.ready, bus.ready, keys.ready),
                workers=(
                    keys.run,
                    Relay(database, bus, settings.workload).run,
                ),
                jobs=(
                    Housekeeping(database, _clean).run,
                    backlogs.run,
                ),
            )


def _now() -> datetime:
    return datetime.now(UTC)


def _code_at(seed: str, step: int) -> str:
    return pyotp.TOTP(seed).at(step * STEP)


async def _clean(connection: Connection, now: datetime) -> int:
    mails_before, devices_before = now - timedelta(seconds=MAILS_KEPT), now - timedelta(seconds=DEVICE_KEPT)
    batch = limits.CLEAN_BATCH
    return max(
        int(await sql.clean(connection, now=now, mails_before=mails_before, batch=batch)),
        int(await sql.clean_devices(connection, before=devices_before, batch=batch)),
        int(await passkeys_store.sql.clean(connection, now=now, batch=batch)),
        int(await organisations_store.sql.clean(connection, now=now, batch=batch)),
        int(await api_keys_store.sql.clean(connection, now=now, batch=batch)),
    )


if __name__ == "__main__":
    share_one_arena()
    main(build, Settings)

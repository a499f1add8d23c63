"""The events that users consumes."""

from __future__ import annotations

from tulle.auth.v1 import events_pb2 as auth

from infra.events.received import Received, Subscriptions
from mesh.model import OrganisationId, UserId
from services.users.domain import Users


def subscriptions(users: Users) -> Subscriptions:
    """Which event is handled how."""

    async def account_created(event: Received) -> None:
        account = event.payload
        await users.settle(UserId(account.user_id), OrganisationId(account.organisation_id))

    return {auth.AccountCreated: account_created}

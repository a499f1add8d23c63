"""The payment provider: Stripe, through its own client. What it promises is in tests/contract/payments.

A charge is a payment intent, whose metadata carries our id. Stripe's search may be a minute behind; who does not find a
charge sends it again under its idempotency key and is given the one that is there. Every answer is the present state,
never that of the first request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import stripe
from stripe.params import BalanceTransactionListParams

from infra.limits import limit
from mesh.model import OrganisationId, Unavailable
from services.billing.domain.errors import PaymentMethodDeclined, UnknownPaymentToken
from services.billing.domain.money import Money
from services.billing.domain.ports import (
    ChargeOrder,
    ProviderCharge,
    ProviderEntry,
    ProviderMethod,
    ProviderRefund,
    ProviderState,
    RefundOrder,
)

Result = TypeVar("Result")

STRIPE_TIMEOUT = limit("STRIPE_TIMEOUT", 2.0, "s", "For one answer; below a handler's time. What is cut off is read.")
STRIPE_TWIN_TRIES = limit(
    "STRIPE_TWIN_TRIES", 4, "tries", "Of a request whose twin is under way, within a call's time."
)
STRIPE_TWIN_PAUSE = limit("STRIPE_TWIN_PAUSE", 0.3, "s", "Between them: little for whoever waits, much for a request.")
STRIPE_PAGE = limit("STRIPE_PAGE", 100, "objects", "Of one list, the most that Stripe gives.")
CHARGE_STATES = {
    "succeeded": ProviderState.SUCCEEDED,
    "requires_action": ProviderState.ACTION_NEEDED,
    "requires_payment_method": ProviderState.DECLINED,
    "canceled": ProviderState.FAILED,
}
"""Anything else is under way."""
REFUND_STATES = {
    "succeeded": ProviderState.SUCCEEDED,
    "failed": ProviderState.FAILED,
    "canceled": ProviderState.FAILED,
}


@asynccontextmanager
async def open_payments(url: str, key: str) -> AsyncIterator[StripePayments]:
    """Stripe's API at `url`, asked with a secret key."""
    http = stripe.HTTPXClient(timeout=STRIPE_TIMEOUT)
    try:
        yield StripePayments(
            stripe.StripeClient(key, http_client=http, base_addresses={"api": url}, max_network_retries=0)
        )
    finally:
        await http.close_async()  # type: ignore[no-untyped-call]


class StripePayments:
    """A `services.billing.domain.ports.Payments`."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._api = client.v1

    async def customer(self, organisation_id: OrganisationId) -> str:
        found = await _asked(
            self._api.customers.search_async({"query": f"metadata['organisation_id']:'{organisation_id}'", "limit": 1})
        )
        if found.data:
            return found.data[0].id
        return (await _alone(lambda: self._make_customer(organisation_id))).id

    async def save_method(self, customer: str, token: str) -> ProviderMethod:
        try:
            return _method(await _asked(self._api.payment_methods.attach_async(token, {"customer": customer})))
        except stripe.CardError as error:
            raise PaymentMethodDeclined from error
        except stripe.InvalidRequestError as error:
            raise UnknownPaymentToken from error

    async def methods(self, customer: str) -> Sequence[ProviderMethod]:
        found = await _asked(self._api.customers.payment_methods.list_async(customer, {"limit": STRIPE_PAGE}))
        return [_method(one) for one in found.data]

    async def remove_method(self, customer: str, method: str) -> None:
        try:
            await _asked(self._api.payment_methods.detach_async(method))
        except stripe.InvalidRequestError:
            return  # It is gone already.

    async def charge(self, order: ChargeOrder) -> ProviderCharge:
        try:
            intent = await _alone(lambda: self._create(order))
        except stripe.CardError as error:
            if error.error is None or error.error.payment_intent is None:
                raise
            return await self._read(error.error.payment_intent.id)
        except stripe.InvalidRequestError as error:
            return ProviderCharge("", ProviderState.FAILED, failure=error.code or "invalid_request")
        return await self._read(intent.id) if _replayed(intent) else _charge(intent)

    async def find_charge(self, charge_id: str) -> ProviderCharge | None:
        found = await _asked(
            self._api.payment_intents.search_async({"query": f"metadata['charge_id']:'{charge_id}'", "limit": 1})
        )
        # What a search shows may be a minute old.
        return await self._read(found.data[0].id) if found.data else None

    async def cancel(self, provider_id: str) -> ProviderCharge:
        try:
            return _charge(await _asked(self._api.payment_intents.cancel_async(provider_id)))
        except stripe.InvalidRequestError:  # Whatever was decided before, that is or another cancel.
            return await self._read(provider_id)

    async def refund(self, order: RefundOrder) -> ProviderRefund:
        try:
            refund = await _alone(lambda: self._give_back(order))
        except stripe.InvalidRequestError as error:
            return ProviderRefund("", ProviderState.FAILED, failure=error.code or "invalid_request")
        return _refund(await _asked(self._api.refunds.retrieve_async(refund.id)) if _replayed(refund) else refund)

    async def find_refund(self, order: RefundOrder) -> ProviderRefund | None:
        listed = self._api.refunds.list_async({"payment_intent": order.charge, "limit": STRIPE_PAGE})
        found = (await _asked(listed)).data
        return next((_refund(one) for one in found if _our_id(one) == order.refund_id), None)

    async def journal(self, since: datetime) -> Sequence[ProviderEntry]:
        entries: list[ProviderEntry] = []
        page: BalanceTransactionListParams = {"created": {"gte": int(since.timestamp())}, "limit": STRIPE_PAGE}
        page["expand"] = ["data.source"]
        while True:
            found = await _asked(self._api.balance_transactions.list_async(page))
            entries += [entry for one in found.data for entry in _entries(one)]
            if not found.has_more:
                return entries
            page["starting_after"] = found.data[-1].id

    def _make_customer(self, organisation_id: OrganisationId) -> Awaitable[stripe.Customer]:
        return self._api.customers.create_async(
            {"metadata": {"organisation_id": organisation_id}}, {"idempotency_key": f"customer_{organisation_id}"}
        )

    def _create(self, order: ChargeOrder) -> Awaitable[stripe.PaymentIntent]:
        return self._api.payment_intents.create_async(
            {
                "amount": order.money.amount,
                "currency": order.money.currency.lower(),
                "customer": order.customer,
                "payment_method": order.method,
                # What would send people elsewhere cannot be charged for a renewal.
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                "description": order.description,
                "metadata": {"charge_id": order.charge_id},
                "confirm": True,
            },
            {"idempotency_key": order.charge_id},
        )

    def _give_back(self, order: RefundOrder) -> Awaitable[stripe.Refund]:
        return self._api.refunds.create_async(
            {
                "payment_intent": order.charge,
                "amount": order.money.amount,
                "metadata": {"refund_id": order.refund_id},
            },
            {"idempotency_key": order.refund_id},
        )

    async def _read(self, intent_id: str) -> ProviderCharge:
        return _charge(await _asked(self._api.payment_intents.retrieve_async(intent_id)))


async def _alone(ask: Callable[[], Awaitable[Result]]) -> Result:
    """The answer to a request with a key; while its twin is under way, such as our own worker's, that is waited for.

    Raises: Unavailable.
    """
    for _ in range(STRIPE_TWIN_TRIES - 1):
        try:
            return await _asked(ask())
        except Unavailable as error:
            if not _has_twin(error.__cause__):
                raise
        await asyncio.sleep(STRIPE_TWIN_PAUSE)
    return await _asked(ask())


async def _asked(answer: Awaitable[Result]) -> Result:
    """The provider's answer. Raises: Unavailable if none comes in time."""
    try:
        async with asyncio.timeout(STRIPE_TIMEOUT):
            return await answer
    except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError, TimeoutError) as error:
        if _has_twin(error):
            raise Unavailable("The same payment is under way; try again.", retry_after=1.0) from error
        raise Unavailable("The payment provider does not answer now; try again.", retry_after=5.0) from error


def _has_twin(error: BaseException | None) -> bool:
    """Whether a request of the same key is under way. Stripe's client has no class of its own for that."""
    return isinstance(error, stripe.StripeError) and error.http_status == 409


def _replayed(made: stripe.PaymentIntent | stripe.Refund) -> bool:
    """Whether this is the answer to an earlier request of the same key, and may be old."""
    response = made.last_response
    return response is not None and response.headers.get("Idempotent-Replayed") == "true"


def _charge(intent: stripe.PaymentIntent) -> ProviderCharge:
    state = CHARGE_STATES.get(intent.status, ProviderState.PENDING)
    error = intent.last_payment_error
    # Stripe leaves out what it does not know.
    failure = getattr(error, "decline_code", None) or getattr(error, "code", None) or intent.status
    return ProviderCharge(
        intent.id,
        state,
        client_secret=(intent.client_secret or "") if state is ProviderState.ACTION_NEEDED else "",
        failure=failure if state in (ProviderState.DECLINED, ProviderState.FAILED) else "",
    )


def _refund(refund: stripe.Refund) -> ProviderRefund:
    state = REFUND_STATES.get(refund.status or "", ProviderState.PENDING)
    failure = getattr(refund, "failure_reason", None) or "failed"
    return ProviderRefund(refund.id, state, failure=failure if state is ProviderState.FAILED else "")


def _entries(moved: stripe.BalanceTransaction) -> Iterator[ProviderEntry]:
    """What moved the money, and what the provider kept of it.

    Amounts of charges and refunds are their own: a balance transaction's are converted into the account's currency.
    Of a refund that failed it has two, there and back.
    """
    time, currency = datetime.fromtimestamp(moved.created, UTC), moved.currency.upper()
    if ours := _moved(moved.source):
        sign = -1 if moved.amount < 0 else 1
        yield ProviderEntry(ours[0], replace(ours[1], amount=sign * ours[1].amount), time)
    else:
        yield ProviderEntry(moved.id, Money(moved.amount, currency), time, moved.reporting_category)
    if moved.fee:
        yield ProviderEntry(moved.id, Money(-moved.fee, currency), time, "fee")


def _moved(source: object) -> tuple[str, Money] | None:
    """The provider's id of a charge or refund as we know it, and how much that is."""
    if isinstance(source, stripe.Charge) and source.payment_intent:
        intent = source.payment_intent
        charge = intent if isinstance(intent, str) else intent.id
        return charge, Money(source.amount_captured, source.currency.upper())
    if isinstance(source, stripe.Refund):
        return source.id, Money(source.amount, source.currency.upper())
    return None


def _our_id(refund: stripe.Refund) -> str:
    return str(getattr(refund.metadata, "refund_id", ""))


def _method(method: stripe.PaymentMethod) -> ProviderMethod:
    details = getattr(method, method.type, None)
    # Only cards and accounts have digits.
    return ProviderMethod(
        method.id, getattr(details, "brand", None) or method.type, getattr(details, "last4", None) or ""
    )

"""What localstripe lacks of Stripe's own API, put into its classes and routes."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from localstripe import resources
from localstripe.errors import UserError

from infra.local.limits import PAYMENTS_PAGE

CARD = {"exp_month": "12", "exp_year": "2030", "cvc": "123"}
TOKENS: Mapping[str, Mapping[str, Any]] = {
    "pm_card_authenticationRequired": {"type": "card", "card": CARD | {"number": "4000002500003155"}},
    "pm_card_mastercard": {"type": "card", "card": CARD | {"number": "5555555555554444"}},
    "pm_success_de": {"type": "sepa_debit", "sepa_debit": {"iban": "DE89370400440532013000"}},
    "pm_failed_de": {"type": "sepa_debit", "sepa_debit": {"iban": "DE62370400440532013001"}},
}
"""Stripe's own names of methods for tests, next to those that localstripe knows."""
QUERY = re.compile(r"""metadata\[["']([a-z_]+)["']\]:["']([A-Za-z0-9_-]+)["']""")
"""The one form of a search that is understood."""
SEARCHED = {"customers": resources.Customer, "payment_intents": resources.PaymentIntent}


def application(happened: Callable[[Any], None]) -> web.Application:
    """localstripe's application with all of it, once for a process. `happened` is told of each event."""
    resources.schedule_webhook = happened
    _store()
    _payment_intents()
    _payment_methods()
    _refunds()
    _balance()
    # Its routes are made when it is imported.
    app: web.Application = importlib.import_module("localstripe.server").app
    for name in SEARCHED:
        app.router.add_get(f"/v1/{name}/search", _search)
    app.router.add_get("/v1/customers/{id}/payment_methods", _methods_of)
    return app


TOUCHED: dict[str, None] = {}
"""The keys of what may have changed since the last commit, in order."""


def _store() -> None:
    """Nothing is dumped; what is written, or read and then perhaps changed, is noted."""
    store = resources.Store

    def get(self: Any, key: str, default: Any = None) -> Any:
        TOUCHED[key] = None
        return dict.get(self, key, default)

    written, deleted = store.__setitem__, store.__delitem__

    def __setitem__(self: Any, key: str, value: Any) -> None:
        TOUCHED[key] = None
        written(self, key, value)

    def __delitem__(self: Any, key: str) -> None:
        TOUCHED[key] = None
        deleted(self, key)

    store.get, store.__setitem__, store.__delitem__ = get, __setitem__, __delitem__
    store.dump_to_disk = lambda self: None


def touch(what: Mapping[str, Any]) -> None:
    """Note an exported object, and those within it."""
    TOUCHED[f"{what.get('object')}:{what.get('id')}"] = None
    for inner in what.values():
        if isinstance(inner, Mapping) and "id" in inner:
            touch(inner)


def resume() -> None:
    """Let debits that were under way when the process ended take their course again."""
    for intent in _all(resources.PaymentIntent):
        if intent.status == "processing":
            intent.latest_charge._initialize_charge(intent._on_success, None, intent._report_async_failure)


def _all(kind: Any) -> list[Any]:
    return [value for key, value in resources.store.items() if key.startswith(f"{kind.object}:")]


def _happened(kind: str, what: Any) -> None:
    resources.schedule_webhook(resources.Event(kind, what))


def _payment_intents() -> None:
    """A description, methods of the customer alone, Stripe's form of a decline, events of failures and cancels."""
    intent = resources.PaymentIntent
    made, authenticated, cancelled = intent.__init__, intent._api_authenticate, intent._api_cancel

    def __init__(
        self: Any, description: str | None = None, automatic_payment_methods: object = None, **data: Any
    ) -> None:
        method = data.get("payment_method")
        if method and resources.PaymentMethod._api_retrieve(method).customer != data.get("customer"):
            raise UserError(400, "The payment method is not attached to this customer.", {"code": "resource_missing"})
        made(self, **data)
        self.description = description

    def declined(self: Any) -> None:
        error = UserError(402, self.failure_message, {"code": self.failure_code, "charge": self.id})
        error.body["error"] |= {"type": "card_error", "decline_code": "generic_decline"}
        if self.payment_intent:
            error.body["error"]["payment_intent"] = intent._api_retrieve(self.payment_intent)._export()
        raise error

    def authenticate(**data: Any) -> Any:
        found = authenticated(**data)
        if found._authentication_failed:
            _happened("payment_intent.payment_failed", found)
        return found

    def cancel(**data: Any) -> Any:
        state = intent._api_retrieve(data["id"]).status
        try:
            found = cancelled(**data)
        except UserError as error:
            raise UserError(400, f"It is {state}.", {"code": "payment_intent_unexpected_state"}) from error
        _happened("payment_intent.canceled", found)
        return found

    _slow_debits()
    intent.__init__, resources.Charge._raise_failure = __init__, declined
    path = "/v1/payment_intents/{id}"
    ours = {f"{path}/_authenticate": authenticate, f"{path}/cancel": cancel}
    resources.extra_apis[:] = [(method, url, ours.get(url, handler)) for method, url, handler in resources.extra_apis]


def _slow_debits() -> None:
    """A debit is pending until its bank has decided; localstripe would call it succeeded meanwhile."""
    charge = resources.Charge
    charge.amount_captured = property(lambda self: self.amount if self.captured and self.paid else 0)
    begun = charge._initialize_charge

    def begin(self: Any, *callbacks: Any, **named: Any) -> None:
        begun(self, *callbacks, **named)
        if self._is_async_payment_method():
            self.status = "pending"

    charge._initialize_charge = begin


def _payment_methods() -> None:
    """More of Stripe's names of methods for tests."""
    method = resources.PaymentMethod
    known = method._try_get_canonical_test_article
    method._try_get_canonical_test_article = lambda name: (
        method(**{key: dict(value) if isinstance(value, Mapping) else value for key, value in TOKENS[name].items()})
        if name in TOKENS
        else known(name)
    )


def _refunds() -> None:
    """Never more than was paid, and an event of each."""
    refund = resources.Refund
    made = refund.__init__

    def __init__(self: Any, **data: Any) -> None:
        charge = _refunded(data)
        left = charge.amount - charge.amount_refunded
        if not 0 < int(data.get("amount") or left) <= left:
            raise UserError(400, f"Of this charge {left} are left to refund.", {"code": "charge_already_refunded"})
        made(self, **data)
        _happened("refund.created", self)

    refund.__init__ = __init__


def _refunded(data: Mapping[str, Any]) -> Any:
    if "payment_intent" not in data:
        return resources.Charge._api_retrieve(data.get("charge", ""))
    charge = resources.PaymentIntent._api_retrieve(data["payment_intent"]).latest_charge
    if charge is None or charge.status != "succeeded":
        raise UserError(400, "This payment has not succeeded.", {"code": "payment_intent_unexpected_state"})
    return charge


def _balance() -> None:
    """Balance transactions since a time."""
    transaction = resources.BalanceTransaction
    listed = transaction._api_list_all

    def since(url: str, created: Mapping[str, str] | None = None, **data: Any) -> Any:
        found = listed(url, **data)
        found._list = [one for one in found._list if one.created >= int((created or {}).get("gte", 0))]
        return found

    transaction._api_list_all = since


async def _search(request: web.Request) -> web.Response:
    """Find by one entry of the metadata. Unlike Stripe's, which may be a minute behind, it knows everything at once."""
    query = QUERY.fullmatch(request.query.get("query", ""))
    if query is None:
        raise UserError(400, "Only searches for one entry of the metadata are understood here.")
    name, value = query.groups()
    found = [one for one in _all(SEARCHED[request.path.split("/")[2]]) if one.metadata.get(name) == value]
    return web.json_response({"object": "search_result", "url": request.path} | _page(found))


async def _methods_of(request: web.Request) -> web.Response:
    customer = resources.Customer._api_retrieve(request.match_info["id"])
    found = [one for one in _all(resources.PaymentMethod) if one.customer == customer.id]
    return web.json_response({"object": "list", "url": request.path} | _page(found))


def _page(found: list[Any]) -> dict[str, Any]:
    return {"has_more": len(found) > PAYMENTS_PAGE, "data": [one._export() for one in found[:PAYMENTS_PAGE]]}

"""Money: integers in the minor unit of a currency."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the minor unit of an ISO 4217 currency: 900 EUR are nine euros."""

    amount: int
    currency: str

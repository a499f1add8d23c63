"""What people can be told of, and of what sort each is. A kind's texts are in templates/<kind>."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Category(enum.StrEnum):
    """What a person may decide about. SECURITY goes out whatever they decide."""

    SECURITY = "security"
    BILLING = "billing"
    PRODUCT = "product"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Kind:
    """`asked_by_anybody`: strangers can have it sent to an address, so each address gets only so many.

    `digest`: one mail for several of its category.
    """

    name: str
    category: Category
    asked_by_anybody: bool = False
    digest: bool = False

    @property
    def repeatable(self) -> bool:
        """Rather twice than never. Everything else: rather never than twice."""
        return self.category is Category.SECURITY


_ALL = (
    Kind("verify", Category.SECURITY, asked_by_anybody=True),
    Kind("already_registered", Category.SECURITY, asked_by_anybody=True),
    Kind("reset", Category.SECURITY, asked_by_anybody=True),
    Kind("password_changed", Category.SECURITY),
    Kind("totp_enabled", Category.SECURITY),
    Kind("totp_disabled", Category.SECURITY),
    Kind("recovery_codes_replaced", Category.SECURITY),
    Kind("invoice_paid", Category.BILLING),
    Kind("payment_failed", Category.BILLING),
    Kind("billing_digest", Category.BILLING, digest=True),
    Kind("product_digest", Category.PRODUCT, digest=True),
    Kind("content_digest", Category.CONTENT, digest=True),
    Kind("passkey_added", Category.SECURITY),
    Kind("passkey_removed", Category.SECURITY),
    Kind("api_key_created", Category.SECURITY),
    Kind("api_key_rotated", Category.SECURITY),
    Kind("new_device", Category.SECURITY),
    Kind("invitation", Category.SECURITY, asked_by_anybody=True),
)
KINDS = {kind.name: kind for kind in _ALL}


def kind_of(name: str) -> Kind:
    """What is told in the app alone has no row: it is news about the product."""
    return KINDS.get(name) or Kind(name, Category.PRODUCT)

"""`tulle.billing.v1.BillingService`: from messages to use cases and back."""

from __future__ import annotations

from tulle.billing.v1 import billing_pb2 as pb

from mesh.call import Call
from services.billing.convert import plan_to_pb
from services.billing.domain.storage import Store


class BillingServicer:
    """The RPCs of BillingService; what each promises is said in protos/tulle/billing/v1/billing.proto."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def ListPlans(self, request: pb.ListPlansRequest, call: Call) -> pb.ListPlansResponse:
        return pb.ListPlansResponse(plans=map(plan_to_pb, await self.store.plans()))

"""`tulle.billing.v1.AccountingService`: from messages to use cases and back."""

from __future__ import annotations

from tulle.billing.v1 import accounting_pb2 as pb

from mesh.call import Call
from services.billing.convert import balance_to_pb
from services.billing.domain.storage import Store


class AccountingServicer:
    """The RPCs of AccountingService; what each promises is said in protos/tulle/billing/v1/accounting.proto."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def ListBalances(self, request: pb.ListBalancesRequest, call: Call) -> pb.ListBalancesResponse:
        return pb.ListBalancesResponse(balances=map(balance_to_pb, await self.store.balances()))

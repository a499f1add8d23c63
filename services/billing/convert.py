"""Domain values to protobuf messages."""

from __future__ import annotations

from tulle.billing.v1 import accounting_pb2
from tulle.billing.v1 import billing_pb2 as pb

from services.billing.domain.ledger import Balance
from services.billing.domain.plans import Interval, Plan

_INTERVALS = {Interval.MONTH: pb.INTERVAL_MONTH, Interval.YEAR: pb.INTERVAL_YEAR}


def plan_to_pb(plan: Plan) -> pb.Plan:
    """A plan of the catalogue."""
    return pb.Plan(
        plan_id=plan.plan_id,
        product=plan.product,
        display_name=plan.display_name,
        interval=_INTERVALS[plan.interval],
        currency=plan.currency,
        unit=plan.unit,
        unit_amount_minor=plan.unit_amount,
        unit_count=plan.unit_count,
        metered=plan.metered,
        trial_days=plan.trial_days,
    )


def balance_to_pb(balance: Balance) -> accounting_pb2.Balance:
    """What an account holds."""
    return accounting_pb2.Balance(account=balance.account, currency=balance.currency, amount_minor=balance.amount)

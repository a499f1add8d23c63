"""Every number of the local Istio, with its unit and its reason; rows of the table of infra.limits."""

from __future__ import annotations

from infra.limits import limit

POLICY_DRAIN = limit(
    "POLICY_DRAIN",
    4.0,
    "s",
    "How long connections live on that were made under an older policy: longer than any call's deadline, and short "
    "enough that a policy is in force everywhere within 5 s.",
)
POLICY_WITHIN = limit("POLICY_WITHIN", 5.0, "s", "From a change of a policy to its being in force on all connections.")
APPLY_WITHIN = limit("APPLY_WITHIN", 30.0, "s", "For the API server to take the definitions and policies.")
LOOK_WITHIN = limit("LOOK_WITHIN", 2.0, "s", "For the API server or istiod to say whether it is ready.")

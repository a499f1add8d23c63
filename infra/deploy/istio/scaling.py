"""How many processes work on events: as many as wait, by what the broker says of each consumer (KEDA)."""

from __future__ import annotations

from infra.deploy.istio.objects import Manifest, thing
from infra.deploy.istio.workloads import worker
from infra.events import streams
from infra.limits import limit
from mesh.contract import Contract, Event
from services import topology
from services.topology import Workload

WORKERS_MOST = limit("WORKERS_MOST", 8, "", "Of one workload on a cluster: its database takes 8 connections of each.")
WORKERS_LAG = limit("WORKERS_LAG", 500, "events", "Waiting for each worker, half a second's work; then one more comes.")
WORKERS_LOOK = limit("WORKERS_LOOK", 15, "s", "Between two looks at what waits.")
WORKERS_CALM = limit("WORKERS_CALM", 300, "s", "Nothing to do for so long before one of them goes.")
MONITORING = f"nats.{topology.NAMESPACE}.svc.cluster.local:8222"
"""Where the broker says how much waits. A deployment replaces it."""


def scaling(contract: Contract) -> list[Manifest]:
    """One object for each workload that consumes events; apply them where KEDA runs."""
    return [
        _scaled(workload, consumed) for workload in contract.workloads if (consumed := _consumed(workload, contract))
    ]


def _consumed(workload: Workload, contract: Contract) -> list[Event]:
    return [event for event in contract.events.values() if workload.name in event.consumers]


def _scaled(workload: Workload, consumed: list[Event]) -> Manifest:
    spec = {
        "scaleTargetRef": {"name": worker(workload)},
        # Never none: timers and clean-up have no lag that would call one back.
        "minReplicaCount": 1,
        "maxReplicaCount": int(WORKERS_MOST),
        "pollingInterval": int(WORKERS_LOOK),
        "cooldownPeriod": int(WORKERS_CALM),
        "triggers": [_trigger(workload, event) for event in consumed],
    }
    return thing("keda.sh/v1alpha1", "ScaledObject", worker(workload), spec=spec)


def _trigger(workload: Workload, event: Event) -> Manifest:
    metadata = {
        "natsServerMonitoringEndpoint": MONITORING,
        "account": "$G",
        "stream": streams.stream(event.domain),
        "consumer": streams.durable(event, workload.name),
        "lagThreshold": str(int(WORKERS_LAG)),
    }
    return {"type": "nats-jetstream", "metadata": metadata}

"""Every number of the boxes' use, with its unit and its reason. docs/limits.md is made from TABLE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value", int, float)


@dataclass(frozen=True, slots=True)
class Limit:
    """One row of the table."""

    name: str
    value: float
    unit: str
    reason: str


TABLE: list[Limit] = []


def limit(name: str, value: Value, unit: str, reason: str) -> Value:
    """Put a number into the table and return it. Raises: ValueError if the name is taken."""
    if any(row.name == name for row in TABLE):
        raise ValueError(f"{name} is in the table already")
    TABLE.append(Limit(name, value, unit, reason))
    return value


DAY = 86400.0
KIB, MIB = 2**10, 2**20

CANCEL_AGAIN = limit("CANCEL_AGAIN", 0.5, "s", "Between two requests to a task of ours to end.")

# PostgreSQL
STATEMENT_TIMEOUT = limit(
    "STATEMENT_TIMEOUT", 5.0, "s", "The server ends a statement; no method's deadline leaves more to one statement."
)
COMMAND_TIMEOUT = limit(
    "COMMAND_TIMEOUT", 7.0, "s", "The client gives a connection up; longer than the server's own, so that it answers."
)
LOCK_TIMEOUT = limit("LOCK_TIMEOUT", 2.0, "s", "Who waits longer for a row meets a stuck transaction: tell the caller.")
IDLE_TRANSACTION_TIMEOUT = limit(
    "IDLE_TRANSACTION_TIMEOUT", 30.0, "s", "A transaction left open keeps locks; longer than one batch of the relay."
)
POOL_WAIT = limit("POOL_WAIT", 2.0, "s", "Waiting longer for a connection means overload, and the caller should know.")
POOL_CLOSE = limit("POOL_CLOSE", 2.0, "s", "Then connections that are still open at the end are cut off.")
CONNECT_TIMEOUT = limit("CONNECT_TIMEOUT", 3.0, "s", "A box that does not answer by then is as good as gone.")
TRANSACTION_TRIES = limit(
    "TRANSACTION_TRIES", 5, "", "Runs of a transaction that meets others; four collisions in a row are contention."
)

# Idempotency
IDEMPOTENCY_KEEP = limit(
    "IDEMPOTENCY_KEEP", DAY, "s", "A client that was away overnight may repeat a request, and it is done once."
)
IDEMPOTENCY_WAIT = limit(
    "IDEMPOTENCY_WAIT", 0.02, "s", "A twin still running is ABORTED; a little wait lets one that is committing finish."
)

# Events
EVENT_BYTES = limit(
    "EVENT_BYTES", 64 * KIB, "bytes", "Events carry ids, not documents; far under the broker's 1 MiB, so none sticks."
)
EVENT_TEXT_LONGEST = limit(
    "EVENT_TEXT_LONGEST", 255, "characters", "Of an envelope's ids and names: three of them fit into a row of an index."
)
OUTBOX_KEEP = limit(
    "OUTBOX_KEEP", 8 * DAY, "s", "Longer than any stream: what the broker loses is published again from here."
)
INBOX_KEEP = limit(
    "INBOX_KEEP", 17 * DAY, "s", "Longer than OUTBOX_KEEP and the longest stream together: no replay is new to it."
)
STREAM_KEEP = limit("STREAM_KEEP", 7 * DAY, "s", "The longest retention that an event's contract may ask for.")
STREAM_BYTES = limit(
    "STREAM_BYTES", 256 * MIB, "bytes", "One stream, half a million events. A full one refuses and the outbox waits."
)
DUPLICATE_WINDOW = limit(
    "DUPLICATE_WINDOW", 120.0, "s", "The broker drops repeats of a message id; the inbox catches all later ones."
)
RELAY_BATCH = limit("RELAY_BATCH", 256, "events", "Claimed at once: few round trips, and a short transaction.")
RELAY_BATCH_TIME = limit(
    "RELAY_BATCH_TIME", 10.0, "s", "What a slow broker took by then is marked; far under IDLE_TRANSACTION_TIMEOUT."
)
RELAY_LANE = limit("RELAY_LANE", 16, "events", "Of one aggregate in a batch, published one after the other.")
RELAY_IN_FLIGHT = limit(
    "RELAY_IN_FLIGHT", 64, "messages", "Unacknowledged publishes: three times the rate of one by one."
)
RELAY_POLL = limit("RELAY_POLL", 1.0, "s", "Finds timers, and what a wake after commit missed.")
PUBLISH_TIMEOUT = limit("PUBLISH_TIMEOUT", 5.0, "s", "Then the event counts as not published and is tried again.")
RETRY_LONGEST = limit("RETRY_LONGEST", 5.0, "s", "Longest pause of a worker whose box is away: back in seconds.")
PULL_BATCH = limit("PULL_BATCH", 64, "messages", "Asked of the broker at once by each consumer.")
PULL_EXPIRES = limit("PULL_EXPIRES", 30.0, "s", "One request for messages; then the next.")
PULL_HEARTBEAT = limit(
    "PULL_HEARTBEAT", 2.0, "s", "An idle broker says so this often; two silences and the consumer subscribes anew."
)
CONSUMER_LANES = limit("CONSUMER_LANES", 4, "", "Handlers at once in a process: half of its database connections.")
PARKED_LANES = limit("PARKED_LANES", 2, "", "Retries at once: one slow poison message does not stop the others.")
ACK_PENDING = limit("ACK_PENDING", 256, "messages", "Delivered and not yet acknowledged, for each consumer.")
ACK_WAIT = limit(
    "ACK_WAIT", 10.0, "s", "Then the broker delivers again: how long what a dead process had taken waits at most."
)
HANDLER_TIMEOUT = limit("HANDLER_TIMEOUT", 8.0, "s", "Of one event's handler, which is small work; under ACK_WAIT.")
EARLY_PATIENCE = limit(
    "EARLY_PATIENCE", 120.0, "s", "An event waits so long for its predecessor, twelve times ACK_WAIT: late beats lost."
)
PARKED_ATTEMPTS = limit(
    "PARKED_ATTEMPTS", 10, "", "Tries of an event whose handler fails, over some 17 min; then it is a dead letter."
)
PARKED_PAUSE_LONGEST = limit("PARKED_PAUSE_LONGEST", 600.0, "s", "Between two tries; they begin at one second.")
PARKED_LONGEST = limit(
    "PARKED_LONGEST", DAY, "s", "An event that waits for something unavailable is tried so long before it is dead."
)
ERROR_KEPT = limit("ERROR_KEPT", 500, "characters", "Of what a handler raised, for the operator who reads it.")
PARKED_POLL = limit("PARKED_POLL", 1.0, "s", "Finds parked events whose next try is due.")
PARKED_REST = limit(
    "PARKED_REST", 10.0, "", "Times what a look for parked events took: many that wait keep no database busy."
)
DEAD_KEEP = limit("DEAD_KEEP", 30 * DAY, "s", "Time for an operator to read and redrive a dead letter.")

REPLAY_BATCH = limit(
    "REPLAY_BATCH", 1000, "events", "Published again, or forgotten, by one statement, which ends in time."
)
EVENTS_PAGE = limit("EVENTS_PAGE", 50, "rows", "What an operator gets who names no length.")
EVENTS_LONGEST_PAGE = limit("EVENTS_LONGEST_PAGE", 200, "rows", "What an operator gets at most.")
LAG_EVERY = limit("LAG_EVERY", 15.0, "s", "Between two log lines that say what waits.")
BROKER_ANSWERS = limit("BROKER_ANSWERS", 1.0, "s", "Then an operator is told that the broker does not answer.")

# Clean-up
CLEAN_EVERY = limit("CLEAN_EVERY", 60.0, "s", "Between two rounds of clean-up, give or take a half.")
CLEAN_BATCH = limit("CLEAN_BATCH", 1000, "rows", "Deleted by one statement: short locks.")

# NATS
NATS_PING = limit("NATS_PING", 5.0, "s", "Two unanswered pings and the connection is taken for dead.")
NATS_PAUSE = limit("NATS_PAUSE", 0.25, "s", "Between two attempts to connect, and up to twice that by chance.")
NATS_LOOK = limit("NATS_LOOK", 0.5, "s", "Between two looks whether a client is closed that forgot to say so.")

# Valkey
CACHE_TIMEOUT = limit("CACHE_TIMEOUT", 0.5, "s", "Counters are local; slower is as good as gone: callers fall back.")
CACHE_CONNECTIONS = limit("CACHE_CONNECTIONS", 16, "", "Of one process; commands take well under a millisecond.")

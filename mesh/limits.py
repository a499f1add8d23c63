"""Every number of the mesh runtime, with its unit and its reason; rows of the table of infra.limits."""

from __future__ import annotations

from infra.limits import MIB, limit

# Calls
CONCURRENT_CALLS = limit(
    "CONCURRENT_CALLS", 512, "calls", "At once in a process; the next is refused with a time to come again, not queued."
)
CONCURRENT_STREAMS = limit(
    "CONCURRENT_STREAMS", 2048, "streams", "The same for streams, counted apart: readers that wait cost calls nothing."
)
STREAMS_EACH = limit("STREAMS_EACH", 8, "streams", "Of one user, or address, at one process: some devices and tabs.")
HEARTBEAT = limit(
    "HEARTBEAT", 20.0, "s", "A stream is never silent for longer: a third of what the edge and most proxies tolerate."
)
DEADLINE_TICK = limit("DEADLINE_TICK", 0.01, "s", "How late a call may be ended; a tenth of the sidecar's own margin.")
OVERLOAD_PAUSE = limit("OVERLOAD_PAUSE", 1.0, "s", "When to come again, told to whom a full process refuses.")
MESSAGE_BYTES = limit("MESSAGE_BYTES", 4 * MIB, "bytes", "One message, either way: the gateway's longest answer.")
REQUEST_ID_LONGEST = limit(
    "REQUEST_ID_LONGEST", 128, "characters", "Of an id that is not ours; it goes into every line and event."
)
KEEPALIVE = limit("KEEPALIVE", 60.0, "s", "Between pings on a quiet connection; twice as many are tolerated.")
KEEPALIVE_WAIT = limit("KEEPALIVE_WAIT", 10.0, "s", "An unanswered ping ends the connection.")
RECONNECT_LONGEST = limit(
    "RECONNECT_LONGEST", 1.0, "s", "Between attempts to reach our own sidecar, which restarts in a fraction of one."
)
RECHECK = limit("RECHECK", 30.0, "s", "A stream of a method marked `fresh` asks again whether its session still lives.")

# What a refusal carries: it travels in a header, and headers are bounded on every hop.
VIOLATIONS_TOLD = limit("VIOLATIONS_TOLD", 20, "violations", "Of one request: at most some 6 KiB of trailer.")
TEXT_TOLD = limit("TEXT_TOLD", 200, "characters", "Of a field's path and of what is wrong with it.")

# Tokens
LEEWAY = limit("LEEWAY", 5, "s", "By which clocks may differ; the gateway uses the same.")
TOKEN_LIFE = limit("TOKEN_LIFE", 300, "s", "How long a stolen access token is of use at most; a longer one is refused.")
TOKEN_BYTES = limit("TOKEN_BYTES", 4096, "bytes", "Ours have some 500; no work is done for a longer one.")
TOKENS_KEPT = limit("TOKENS_KEPT", 20_000, "tokens", "Verified ones in memory, some 0.8 KB each.")
KEYS_FRESH = limit(
    "KEYS_FRESH", 300.0, "s", "A key set is used without asking again; a new key is published for twice this before."
)
KEYS_PAUSE = limit("KEYS_PAUSE", 5.0, "s", "Between fetches of the key set: an unknown key is free to forge.")

# Process
DRAIN = limit("DRAIN", 10.0, "s", "For calls under way after SIGTERM; longer than any unary method's deadline.")
ANNOUNCE = limit("ANNOUNCE", 0.5, "s", "Between saying NOT_SERVING and closing the door, for callers to hear it.")
WORKER_PAUSE_LONGEST = limit("WORKER_PAUSE_LONGEST", 10.0, "s", "Of a worker that keeps failing; from 0.1 s, doubled.")
READY_EVERY = limit("READY_EVERY", 1.0, "s", "Between two looks at the service's own boxes.")
READY_FIRST = limit("READY_FIRST", 0.05, "s", "Between looks until the first good one: a start waits for it.")
READY_TIMEOUT = limit("READY_TIMEOUT", 2.0, "s", "Of one look.")
READY_FAILURES = limit("READY_FAILURES", 3, "looks", "In a row until NOT_SERVING: one hiccup takes no traffic away.")
READY_SUCCESSES = limit("READY_SUCCESSES", 2, "looks", "In a row until SERVING again: a box that flaps stays out.")
WATCHERS = limit("WATCHERS", 64, "streams", "That watch health at once.")

# Telemetry
LINES_EVERY = limit("LINES_EVERY", 0.2, "s", "Between two batches of log lines.")
LINES_KEPT = limit("LINES_KEPT", 20_000, "lines", "That wait to be written; then the oldest go, and the log says so.")
LOG_WAITING = limit(
    "LOG_WAITING",
    8 * MIB,
    "characters",
    "For a slow reader; then lines go, and the log says so.",
)
COUNTS_EVERY = limit("COUNTS_EVERY", 10.0, "s", "Between two lines with the counts of calls.")

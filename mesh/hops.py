"""Every number of the Envoys, at the edge and inside the mesh; rows of the table of infra.limits."""

from __future__ import annotations

from infra.limits import KIB, MIB, limit

# Time: each hop adds a little to the contract's deadline, so that the application answers first.
INBOUND_MARGIN = limit(
    "INBOUND_MARGIN", 0.1, "s", "Added to a deadline by the callee's sidecar: the service goes first."
)
OUTBOUND_MARGIN = limit("OUTBOUND_MARGIN", 0.2, "s", "Added by the caller's sidecar: after the callee's.")
EDGE_MARGIN = limit(
    "EDGE_MARGIN", 0.3, "s", "Added by the gateway: last, and every answer is out within half a second."
)
HOP_CONNECT = limit("HOP_CONNECT", 1.0, "s", "To reach the next hop, which is near.")
HOP_HANDSHAKE = limit("HOP_HANDSHAKE", 5.0, "s", "For a TLS handshake; a slower one holds a connection for nothing.")
HEADERS_WITHIN = limit("HEADERS_WITHIN", 10.0, "s", "For a request's headers: slow senders do not keep a stream open.")
REQUEST_WITHIN = limit("REQUEST_WITHIN", 30.0, "s", "For a whole request at the edge.")
STREAM_IDLE = limit("STREAM_IDLE", 60.0, "s", "Without a byte at the edge, either way.")
CLIENT_IDLE = limit("CLIENT_IDLE", 300.0, "s", "Of a client's connection without a request.")
CONNECTION_LIFE = limit(
    "CONNECTION_LIFE", 3600.0, "s", "Of a connection inside the mesh: certificates are looked at when one is made."
)
HOP_KEEPALIVE = limit("HOP_KEEPALIVE", 30.0, "s", "Between pings of Envoys, so that a dead peer is noticed.")
HOP_KEEPALIVE_WAIT = limit("HOP_KEEPALIVE_WAIT", 5.0, "s", "An unanswered ping ends the connection.")
SDS_LOOK = limit(
    "SDS_LOOK", 1.0, "s", "Between two looks whether a certificate was renewed, which has half a day left."
)
WATCH_LIFE = limit("WATCH_LIFE", 3600.0, "s", "Of a stream of health or reflection through a sidecar.")

# Size
STREAMS = limit("STREAMS", 100, "streams", "On one HTTP/2 connection (Envoy's guide for edges).")
STREAM_WINDOW = limit("STREAM_WINDOW", 64 * KIB, "bytes", "Of flow control per stream (the same guide).")
CONNECTION_WINDOW = limit("CONNECTION_WINDOW", MIB, "bytes", "Of flow control per connection (the same guide).")
HOP_BUFFER = limit("HOP_BUFFER", 32 * KIB, "bytes", "Held per connection before the sender has to wait.")
HEADERS_KIB = limit("HEADERS_KIB", 16, "KiB", "Of headers: a token has half of one, a cookie none.")
HEADERS = limit("HEADERS", 64, "headers", "Of a request at the edge.")
MAX_REQUEST = limit("MAX_REQUEST", 256 * KIB, "bytes", "A REST body is held in memory while it is checked.")
MAX_DEPTH = limit("MAX_DEPTH", 32, "levels", "Of objects and lists in a REST body, each of which is a call on a stack.")
MAX_RESPONSE = limit(
    "MAX_RESPONSE", 4 * MIB, "bytes", "A REST answer is held while it is transcoded; gRPC's own default."
)

# Overload
EDGE_HEAP = limit("EDGE_HEAP", 256, "MiB", "Beyond 95 % of it the gateway refuses requests.")
SIDECAR_HEAP = limit("SIDECAR_HEAP", 128, "MiB", "The same for a sidecar.")
EDGE_CONNECTIONS = limit("EDGE_CONNECTIONS", 4096, "connections", "Of clients at one gateway.")
SIDECAR_CONNECTIONS = limit("SIDECAR_CONNECTIONS", 1024, "connections", "At one sidecar.")
HOP_CONNECTIONS = limit("HOP_CONNECTIONS", 64, "connections", "From one Envoy to one workload.")
HOP_CALLS = limit("HOP_CALLS", 512, "calls", "Under way from one Envoy to one workload; the next is UNAVAILABLE.")
HOP_STREAMS = limit(
    "HOP_STREAMS", 2048, "streams", "The same for streams, counted apart and on connections of their own."
)
HOP_PAUSE = limit("HOP_PAUSE", 1.0, "s", "When to come again, told with every UNAVAILABLE of an Envoy.")

# Failure
RETRIES = limit("RETRIES", 2, "retries", "Of a method that is safe to repeat: a replica that dies is not seen.")
RETRY_BUDGET = limit("RETRY_BUDGET", 20.0, "%", "Retries of the calls under way: an outage is not made worse.")
RETRIES_FREE = limit("RETRIES_FREE", 3, "retries", "That may always run at once: at small loads 20 % is nothing.")
RETRY_PAUSE = limit("RETRY_PAUSE", 0.025, "s", "Before a retry; the next may wait up to ten times as long.")
EJECT_AFTER = limit("EJECT_AFTER", 5, "failures", "In a row until a replica gets no calls for a while.")
EJECT_LOOK = limit("EJECT_LOOK", 2.0, "s", "Between two looks whether a replica may come back.")
EJECTED = limit("EJECTED", 5.0, "s", "For how long a replica is out the first time; longer each time.")
EJECTED_LONGEST = limit("EJECTED_LONGEST", 60.0, "s", "For how long a replica that keeps failing is out.")
MAX_EJECTED = limit("MAX_EJECTED", 50, "%", "Of the replicas that may be out at once: of two one, of one none.")

# Rate limits and keys at the edge
PREFLIGHT_KEPT = limit(
    "PREFLIGHT_KEPT", 7200.0, "s", "How long a browser need not ask again whether it may call; most keep it no longer."
)
ADDRESS_REQUESTS = limit(
    "ADDRESS_REQUESTS", 3000, "requests", "Per address and minute, all methods: an office passes, a flood does not."
)
LIMITER_WITHIN = limit(
    "LIMITER_WITHIN", 0.05, "s", "For the shared count of a call; without an answer the gateway's own bucket decides."
)
BUCKETS = limit("BUCKETS", 10_000, "buckets", "Kept for each limit; the one unused longest goes first.")
JWKS_CACHE = limit("JWKS_CACHE", 60.0, "s", "Between the gateway's fetches of the keys, less than a service's.")
JWKS_WITHIN = limit("JWKS_WITHIN", 2.0, "s", "For one fetch of the keys.")
JWKS_PAUSE = limit("JWKS_PAUSE", 1.0, "s", "Until a failed fetch of the keys is tried again.")
EDGE_TOKENS = limit("EDGE_TOKENS", 4096, "tokens", "Verified ones that the gateway remembers.")

"""Events: what a service announces reaches every consumer once and in order (docs/events.md).

`outbox` puts an event beside the entity in one statement, `relay` publishes what is committed,
`consumer` makes effects exactly once, `streams` says from the contract what the broker holds and
who may use it, `bus` is the connection to the broker.
"""

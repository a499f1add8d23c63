"""A stand-in for Stripe on one machine: `localstripe`, and what it lacks of what payments stand on.

It moves no money and is for the local stack and tests alone; elsewhere billing talks to Stripe itself, over the same
client. localstripe knows customers, payment methods, payment intents and refunds. Added here are idempotency keys,
search, a state that survives a kill, refusals of what Stripe refuses, webhooks that are signed and repeated until they
arrive, a journal of everything that moved money, and a control by which tests make the line bad: `server.py` lists it.
"""

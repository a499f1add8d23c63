"""Talking to the boxes: settings, PostgreSQL, cache, events, and the local stack that runs them all."""

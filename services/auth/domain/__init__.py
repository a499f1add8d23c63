"""Accounts, credentials and sessions: what they are, their rules and use cases. Knows no framework."""

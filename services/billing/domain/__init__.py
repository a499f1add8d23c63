"""Billing's rules, without a database, a provider or a clock of its own."""

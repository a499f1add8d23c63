"""What a contract must keep to: one small function per rule, each yielding what breaks it."""

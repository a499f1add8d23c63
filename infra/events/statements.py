"""The statements of outbox.sql and inbox.sql, by name."""

from __future__ import annotations

from pathlib import Path

from infra.postgres import queries

outbox = queries(Path(__file__).with_name("outbox.sql"))
inbox = queries(Path(__file__).with_name("inbox.sql"))

"""The numbers stand in an order that they may not lose."""

from __future__ import annotations

import pytest

from infra import limits
from infra.limits import TABLE, limit


def test_every_number_has_a_reason() -> None:
    """One row each, and none without a word why."""
    assert len({row.name for row in TABLE}) == len(TABLE)
    assert all(len(row.reason) > 10 and row.reason.endswith(".") for row in TABLE)


def test_a_name_is_taken_once() -> None:
    """Two numbers of one name would be a lie on the page."""
    with pytest.raises(ValueError, match="POOL_WAIT"):
        limit("POOL_WAIT", 1.0, "s", "Again.")


def test_retention_falls_from_inbox_to_stream() -> None:
    """The outbox can fill a stream again; the inbox knows whatever a stream that was filled again may bring."""
    assert limits.OUTBOX_KEEP > limits.STREAM_KEEP
    assert limits.INBOX_KEEP > limits.OUTBOX_KEEP + limits.STREAM_KEEP


def test_who_waits_outwaits_what_it_waits_for() -> None:
    """The inner bound strikes first, so that the outer one can say why."""
    assert limits.COMMAND_TIMEOUT > limits.STATEMENT_TIMEOUT > limits.LOCK_TIMEOUT
    assert limits.IDLE_TRANSACTION_TIMEOUT > limits.HANDLER_TIMEOUT
    assert limits.IDLE_TRANSACTION_TIMEOUT > limits.RELAY_BATCH_TIME + limits.PUBLISH_TIMEOUT
    assert limits.ACK_WAIT > limits.HANDLER_TIMEOUT
    assert limits.EVENT_BYTES < 2**20

"""Inbox values to protobuf messages."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from tulle.notifications.v1 import inbox_pb2 as pb

from services.notifications.inbox.domain import Message, News, State


def message_to_pb(message: Message, locale: str) -> pb.InboxMessage:
    """A message with its words for a reader of this locale."""
    title, body = message.words(locale)
    return pb.InboxMessage(
        number=message.number,
        kind=message.kind,
        title=title,
        body=body,
        variables=message.variables,
        create_time=_timestamp(message.create_time),
        read_time=_timestamp(message.read_time) if message.read_time else None,
    )


def state_to_pb(state: State) -> pb.Inbox:
    """How an inbox stands."""
    return pb.Inbox(number=state.number, unread_count=state.unread)


def news_to_pb(news: News, locale: str) -> pb.InboxNews:
    """What a watcher hears."""
    message = message_to_pb(news.message, locale) if news.message else None
    return pb.InboxNews(message=message, inbox=pb.Inbox(number=news.number, unread_count=news.unread))


def _timestamp(time: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp

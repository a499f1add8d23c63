"""`tulle.notifications.v1.InboxService`: from messages to use cases and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from tulle.notifications.v1 import inbox_pb2 as pb

from mesh.call import Call
from mesh.paging import PageTokens
from services.notifications.inbox.convert import message_to_pb, news_to_pb, state_to_pb
from services.notifications.inbox.domain import Inbox, Locales


class InboxServicer:
    """The RPCs of InboxService; what each promises is said in protos/tulle/notifications/v1/inbox.proto."""

    def __init__(self, inbox: Inbox, pages: PageTokens, locales: Locales) -> None:
        self.inbox, self.pages, self.locales = inbox, pages, locales

    async def ListMessages(self, request: pb.ListMessagesRequest, call: Call) -> pb.ListMessagesResponse:
        query = (call.method.path, call.caller.principal, str(request.unread_only))
        before = int(self.pages.open(request.page_token, *query) or 0)
        page = await self.inbox.messages(call.caller, before, request.page_size, unread_only=request.unread_only)
        locale = await self._locale(call) if page.messages else ""
        return pb.ListMessagesResponse(
            messages=[message_to_pb(message, locale) for message in page.messages],
            next_page_token=self.pages.seal(str(page.before or ""), *query),
        )

    async def GetInbox(self, request: pb.GetInboxRequest, call: Call) -> pb.Inbox:
        return state_to_pb(await self.inbox.state(call.caller))

    async def MarkRead(self, request: pb.MarkReadRequest, call: Call) -> pb.Inbox:
        return state_to_pb(await self.inbox.mark_read(call.caller, request.numbers, request.up_to))

    async def WatchMessages(self, request: pb.WatchMessagesRequest, call: Call) -> AsyncIterator[pb.InboxNews]:
        after = request.after if request.HasField("after") else None
        locale: str | None = None  # asked once for a stream, and only if it has something to tell
        async with aclosing(self.inbox.watch(call.caller, after)) as all_news:  # type: ignore[type-var]
            async for news in all_news:
                if news.message and locale is None:
                    locale = await self._locale(call)
                yield news_to_pb(news, locale or "")

    async def _locale(self, call: Call) -> str:
        return await self.locales.locale(call.caller.signed_in.user_id)

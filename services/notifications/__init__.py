"""notifications owns what people are told because of events, by mail, inbox and push, and why each went or did not.

Tables: deliveries, preferences, suppressions, inboxes, inbox_messages, push_people, push_endpoints,
pushes.
Subjects: none; it consumes what other services announce.
RPCs: tulle.notifications.v1.NotificationsService, DeliveriesService, PreferencesService, InboxService,
PushService.
"""

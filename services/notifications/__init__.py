"""notifications owns what people are told because of events: mails now, and why each went or did not.

Tables: deliveries, preferences, suppressions.
Subjects: none; it consumes what other services announce.
RPCs: tulle.notifications.v1.NotificationsService, DeliveriesService, PreferencesService.
"""

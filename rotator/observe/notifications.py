"""Series of notifications."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from rotator.model.events import Event, Notified, Occasion

_DELIVERIES = ("sent", "failed", "dropped")


class NotificationSeries:
    """An observer that counts notifications."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._notifications = Counter(
            "rotator_notifications_total",
            "Notifications to webhooks: sent, failed (given up), dropped (too many before them).",
            ["event", "result"],
            registry=registry,
        )
        for occasion in Occasion:
            for result in _DELIVERIES:
                self._notifications.labels(str(occasion), result)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notified) and event.result in _DELIVERIES:
            self._notifications.labels(str(event.occasion), event.result).inc()

"""The series of sources: reads, tokens and leases."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rotator.config.models import SourceConfig, VaultSource
from rotator.model.events import Event, LeaseChanged, LeasesSeen, SourceRead, TokenSeen
from rotator.model.lease import HeldLease, LeaseState
from rotator.observe.targets import REQUEST_SECONDS


class SourceSeries:
    """An observer that makes these series. Only the process that keeps tokens and leases alive
    shows them."""

    def __init__(self, registry: CollectorRegistry, now: Callable[[], datetime]) -> None:
        self._now = now
        self._reads = Counter(
            "rotator_source_reads_total",
            "Reads and probes of sources, by result.",
            ["source", "result"],
            registry=registry,
        )
        self._read_seconds = Histogram(
            "rotator_source_read_duration_seconds",
            "How long sources take to answer.",
            ["source"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self._success = Gauge(
            "rotator_source_last_success_timestamp_seconds",
            "When a source was last read or probed with success.",
            ["source"],
            registry=registry,
        )
        self._tokens = Gauge(
            "rotator_source_token_expiry_timestamp_seconds",
            "When the source's own token ends unless it is renewed; absent where it never does.",
            ["source"],
            registry=registry,
        )
        self._replaceable = Gauge(
            "rotator_source_token_replaceable",
            "Whether rotator can log in again when the token ends: not where it was given a token.",
            ["source"],
            registry=registry,
        )
        self._lease_expiry = Gauge(
            "rotator_lease_expiry_timestamp_seconds",
            "When the first of the leases that are in use ends unless it is renewed.",
            ["source", "rotation"],
            registry=registry,
        )
        self._leases = Gauge(
            "rotator_leases",
            "Leases by state: live, retired (to be revoked), asked (its answer was lost).",
            ["source", "rotation", "state"],
            registry=registry,
        )
        self._lease_changes = Counter(
            "rotator_lease_changes_total",
            "Steps of leases: made, renewed, retired, revoked, ended, and those that failed.",
            ["source", "rotation", "change"],
            registry=registry,
        )
        self._sources: set[str] = set()
        self._rotations: set[str] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case SourceRead():
                self._read(event)
            case TokenSeen(source, ends_at) if ends_at is not None:
                self._tokens.labels(source).set(ends_at.timestamp())
            case TokenSeen(source):
                self._tokens.remove_by_labels({"source": source})
            case LeasesSeen(leases):
                self._leases_seen(leases)
            case LeaseChanged(lease, what):
                self._lease_changes.labels(lease.ref.source, lease.rotation, what).inc()
            case _:
                pass

    def configured(self, sources: Mapping[str, SourceConfig], rotations: Collection[str]) -> None:
        present, ruled = set(sources), set(rotations)
        for gone in self._sources - present:
            for metric in (
                self._reads,
                self._read_seconds,
                self._success,
                self._tokens,
                self._replaceable,
            ):
                metric.remove_by_labels({"source": gone})
        for gone in self._rotations - ruled:
            self._lease_changes.remove_by_labels({"rotation": gone})
        self._sources, self._rotations = present, ruled
        for name, source in sources.items():
            self._reads.labels(name, "ok")
            self._read_seconds.labels(name)
            if isinstance(source, VaultSource):
                self._replaceable.labels(name).set(source.auth.method != "token")
            else:
                self._replaceable.remove_by_labels({"source": name})

    def hide(self) -> None:
        for gauge in (self._tokens, self._lease_expiry, self._leases):
            gauge.clear()

    def _read(self, event: SourceRead) -> None:
        run = {"run_id": event.run_id} if event.run_id else None
        self._reads.labels(event.source, event.result).inc(exemplar=run)
        self._read_seconds.labels(event.source).observe(event.seconds, run)
        if event.result == "ok" and event.operation in {"read", "probe"}:
            self._success.labels(event.source).set(self._now().timestamp())

    def _leases_seen(self, held: tuple[HeldLease, ...]) -> None:
        """Replaces all series of leases: those of a lease that is gone disappear."""
        self._lease_expiry.clear()
        self._leases.clear()
        for lease in held:
            place = (lease.ref.source, lease.rotation)
            self._leases.labels(*place, str(lease.state)).inc()
        for place, ends in _first_ends(held).items():
            self._lease_expiry.labels(*place).set(ends.timestamp())


def _first_ends(held: Iterable[HeldLease]) -> Mapping[tuple[str, str], datetime]:
    """Source and rotation → when the next live lease ends, or the token that it depends on."""
    ends: dict[tuple[str, str], datetime] = {}
    for lease in held:
        known = [end for end in (lease.expires_at, lease.owner_ends_at) if end is not None]
        if lease.state is LeaseState.LIVE and known:
            place = (lease.ref.source, lease.rotation)
            ends[place] = min([*known, ends[place]] if place in ends else known)
    return ends

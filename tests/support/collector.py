"""An OpenTelemetry collector on loopback: OTLP over HTTP, decoded. It fails on order."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tests.support.faulty import FaultyServer, Reply, Request

ERROR = 2
CLIENT = 3
INTERNAL = 1


@dataclass(frozen=True, slots=True)
class Received:
    """One span, as it came over the wire."""

    trace: str
    id: str
    parent: str
    """Empty: a root."""
    name: str
    kind: int
    start: int
    end: int
    """Nanoseconds since the epoch."""
    attributes: Mapping[str, object]
    failed: bool
    description: str
    events: tuple[tuple[str, Mapping[str, object]], ...]
    resource: Mapping[str, object]

    def within(self, other: Received) -> bool:
        return other.start <= self.start <= self.end <= other.end


class Collector(FaultyServer):
    """Set OTEL_EXPORTER_OTLP_ENDPOINT to `url`."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        super().__init__(self._take)

    @property
    def raw(self) -> bytes:
        """All that was sent, headers included, uncompressed."""
        parts = [f"{seen.path} {dict(seen.headers)}".encode() + _body(seen) for seen in self.seen]
        return b"\n".join(parts)

    @property
    def seen(self) -> list[Request]:
        return list(self.requests)

    def roots(self) -> list[Received]:
        return [span for span in self.spans if not span.parent]

    def under(self, root: Received) -> list[Received]:
        return [span for span in self.spans if span.parent == root.id]

    def _take(self, request: Request) -> Reply:
        if (request.method, request.path) != ("POST", "/v1/traces"):
            return Reply(404)
        self.spans.extend(_spans(ExportTraceServiceRequest.FromString(_body(request))))
        headers = {"Content-Type": "application/x-protobuf"}
        return Reply(200, ExportTraceServiceResponse().SerializeToString(), headers)


def _body(request: Request) -> bytes:
    if request.headers.get("content-encoding") == "gzip":
        return gzip.decompress(request.body)
    return request.body


def _spans(sent: ExportTraceServiceRequest) -> Iterator[Received]:
    for of_resource in sent.resource_spans:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Received(
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    name=span.name,
                    kind=span.kind,
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    attributes=_attributes(span.attributes),
                    failed=span.status.code == ERROR,
                    description=span.status.message,
                    events=tuple((e.name, _attributes(e.attributes)) for e in span.events),
                    resource=resource,
                )


def _attributes(pairs: Iterator[KeyValue]) -> dict[str, object]:
    values = {pair.key: pair.value for pair in pairs}
    return {key: getattr(value, value.WhichOneof("value") or "") for key, value in values.items()}


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    with collector.serving():
        yield collector

"""Switches tracing on: only the standard environment variables decide.

OpenTelemetry is imported only then, since it takes time and memory.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rotator.model.events import Event
from rotator.ports import Clock, Observer, Tell

if TYPE_CHECKING:
    from rotator.observe.otlp import Otlp


class Unusable(Exception):
    """The variables ask for something impossible. The text says what, without any value."""


@asynccontextmanager
async def traced(environ: Mapping[str, str], clock: Clock, tell: Tell) -> AsyncIterator[Observer]:
    """An observer that traces, if the variables ask for it and it is possible; otherwise it does
    nothing.

    `environ` is that of the process, which OpenTelemetry reads too. Closing waits a moment for what
    is not sent yet.
    """
    traces = _opened(environ, clock, tell)
    if traces is None:
        yield _silent
        return
    try:
        yield traces.observe
    finally:
        await traces.aclose()


def _silent(event: Event, /) -> None:
    pass


def _opened(environ: Mapping[str, str], clock: Clock, tell: Tell) -> Otlp | None:
    try:
        address = endpoint(environ)
        if address is None:
            return None
        from rotator.observe.otlp import Otlp

        traces = Otlp(address, clock, tell)
    except Unusable as why:
        tell(logging.WARNING, "traces.off", f"no traces: {why}")
    except ModuleNotFoundError:
        tell(
            logging.WARNING,
            "traces.off",
            "no traces: an endpoint for them is set, but OpenTelemetry is not installed: "
            "pip install 'rotator[otel]'",
        )
    except Exception as error:  # noqa: BLE001 - of others' code, whose text may hold a value
        words = f"no traces: OpenTelemetry refuses its settings ({type(error).__name__})"
        tell(logging.WARNING, "traces.off", f"{words}: check the variables OTEL_…")
    else:
        tell(logging.INFO, "traces.on", _shown(address))
        return traces
    return None


def endpoint(environ: Mapping[str, str]) -> str | None:
    """The URL that spans are posted to; None if nobody asks for them. Raises Unusable."""

    def value(name: str) -> str:
        # The specification says that an empty variable counts as not set.
        return environ.get(name, "").strip()

    key = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    address = value(key)
    if not address:
        key = "OTEL_EXPORTER_OTLP_ENDPOINT"
        address = value(key)
        if not address:
            return None
        address = f"{address.rstrip('/')}/v1/traces"
    if value("OTEL_SDK_DISABLED").lower() == "true":
        return None
    exporters = {name.strip().lower() for name in value("OTEL_TRACES_EXPORTER").split(",")}
    if exporters == {"none"}:
        return None
    if not exporters & {"", "otlp"}:
        raise Unusable("OTEL_TRACES_EXPORTER can be otlp or none")
    protocol = (
        value("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or value("OTEL_EXPORTER_OTLP_PROTOCOL")
    ).lower()
    if protocol not in {"", "http/protobuf"}:
        raise Unusable(
            "they are sent by http/protobuf alone; set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL to it, "
            "and the endpoint to the collector's port for HTTP (4318 as a rule)"
        )
    if not _is_address(address):
        raise Unusable(f"{key} is no address like http://collector:4318")
    return address


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


def _shown(address: str) -> str:
    """The URL without user, password and query."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

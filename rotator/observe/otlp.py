"""Sends spans to a collector, with OpenTelemetry's own SDK and exporter.

Both read the standard environment variables themselves. A thread of the SDK sends. A problem there
is logged in one line, and holds up nothing.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from rotator import __version__
from rotator.http.requests_light import requests
from rotator.observe.traces import Traces
from rotator.ports import Clock, Tell

GRACE = 1.5
"""Seconds that the end waits for unsent spans. The daemon has 10 for all of its end."""

_EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_ARGUMENT = re.compile(r"%[-+#0 ]?[\d.]*[a-zA-Z]")


class Otlp:
    """Tracing that is switched on. `observe` makes the spans; `aclose` sends the rest, if that is
    quick."""

    def __init__(self, endpoint: str, clock: Clock, tell: Tell) -> None:
        """Raises what the SDK raises for settings that it can't use."""
        self._library = _Library(tell)
        self._trouble = _Trouble(tell)
        self._library.listen()
        try:
            self._provider = self._set_up(endpoint)
        except BaseException:
            self._library.leave()
            raise
        self.observe = Traces(self._provider.get_tracer("rotator", __version__), clock)

    def _set_up(self, endpoint: str) -> TracerProvider:
        named = {"service.name": "rotator", "service.version": __version__}
        given = OTELResourceDetector().detect().attributes
        # Not at exit: that would wait 30 s for a collector that hangs.
        provider = TracerProvider(
            resource=Resource.create({**named, **given}), shutdown_on_exit=False
        )
        session = _Session(self._trouble)
        exporter = _Telling(OTLPSpanExporter(endpoint, session=session), self._trouble)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return provider

    async def aclose(self) -> None:
        """Ends within GRACE, whatever the collector does."""
        # A daemon thread: the process doesn't wait for it at its end.
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, GRACE)
        if closing.is_alive():
            self._trouble.cut_off()
        self._library.leave()


class _Trouble:
    """Logs trouble once when it begins, and once when it is over."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._present = False
        self.seen = ""
        """The trouble of the last request, in words; empty: none."""

    def failed(self) -> None:
        if not self._present:
            self._present = True
            why = self.seen or "they could not be encoded, or are too many at once"
            self._tell(logging.WARNING, "traces.failed", why)

    def worked(self) -> None:
        if self._present:
            self._present = False
            self._tell(logging.INFO, "traces.restored", "the collector accepts them again")

    def cut_off(self) -> None:
        self.seen = self.seen or f"the collector did not take all of them within {GRACE:g} s"
        self.failed()


class _Session(requests.Session):
    """Sees what the exporter hides: why a request failed, and that one succeeded."""

    def __init__(self, trouble: _Trouble) -> None:
        super().__init__()
        self.trust_env = False  # a password of .netrc would replace the collector's own token
        self._trouble = trouble

    def request(self, *args: Any, **named: Any) -> requests.Response:
        try:
            response = super().request(*args, **named)
        except requests.RequestException as error:
            self._trouble.seen = _words(error)
            raise
        self._trouble.seen = _complaint(response)
        return response


class _Telling(SpanExporter):
    """The exporter, with one line for each trouble instead of one for each batch."""

    def __init__(self, exporter: SpanExporter, trouble: _Trouble) -> None:
        self._exporter = exporter
        self._trouble = trouble

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._trouble.seen = ""
        result = self._exporter.export(spans)
        # The exporter counts a redirect, or a page of a proxy, as a success.
        if result is SpanExportResult.SUCCESS and not self._trouble.seen:
            self._trouble.worked()
            return result
        self._trouble.failed()
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _Library(logging.Handler):
    """Passes on what OpenTelemetry logs: each message once, and without arguments, which can be
    headers."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._told: set[str] = set()
        self._logger = logging.getLogger("opentelemetry")

    def listen(self) -> None:
        self._logger.propagate = False
        if not self._logger.handlers:  # without any, Python would write to standard error
            self._logger.addHandler(logging.NullHandler())
        self._logger.addHandler(self)

    def leave(self) -> None:
        """Stay silent from now on: the error of a request that is cut off is no news."""
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        words = _ARGUMENT.sub("…", str(record.msg)).partition("\n")[0]
        if record.name != _EXPORTER and words not in self._told:
            self._told.add(words)
            self._tell(logging.WARNING, "traces.library", f"OpenTelemetry says: {words}")


def _complaint(response: requests.Response) -> str:
    kind = response.headers.get("Content-Type", "")
    if "html" in kind.lower():
        return f"the answer ({response.status_code}) is HTML, not a collector's: check the endpoint"
    if 300 <= response.status_code < 400:
        return "the collector redirects elsewhere, which is never followed: check the endpoint"
    if response.status_code in {401, 403}:
        return f"the collector answers {response.status_code}: check OTEL_EXPORTER_OTLP_HEADERS"
    if response.status_code >= 400:
        return f"the collector answers {response.status_code}"
    return ""


def _words(error: requests.RequestException) -> str:
    """The error by its kind. Its own text holds the address, and can hold more."""
    if isinstance(error, requests.exceptions.SSLError):
        return "the collector's certificate is not trusted: check OTEL_EXPORTER_OTLP_CERTIFICATE"
    if isinstance(error, requests.exceptions.Timeout):
        return "the collector does not answer in time"
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return f"the collector can't be reached: {found.strerror}"
        found = found.__cause__ or found.__context__
    return f"the collector gives no answer ({type(error).__name__})"

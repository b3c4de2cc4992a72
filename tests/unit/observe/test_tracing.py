"""When there are traces, by the variables alone; and what is said where there can be none."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from rotator.clock import SystemClock
from rotator.observe.tracing import Unusable, endpoint, traced

BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
AT = {BASE: "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({BASE: ""}, None),
        ({BASE: "  "}, None),
        (AT, "http://collector:4318/v1/traces"),
        ({BASE: "https://collector/otlp/"}, "https://collector/otlp/v1/traces"),
        ({TRACES: "http://here/as-it-is"}, "http://here/as-it-is"),
        ({**AT, TRACES: "http://here/as-it-is"}, "http://here/as-it-is"),
        ({**AT, TRACES: ""}, "http://collector:4318/v1/traces"),
        ({**AT, "OTEL_SDK_DISABLED": "true"}, None),
        ({**AT, "OTEL_SDK_DISABLED": "TRUE"}, None),
        ({**AT, "OTEL_SDK_DISABLED": "false"}, "http://collector:4318/v1/traces"),
        ({**AT, "OTEL_TRACES_EXPORTER": "none"}, None),
        ({**AT, "OTEL_TRACES_EXPORTER": "otlp"}, "http://collector:4318/v1/traces"),
        ({**AT, "OTEL_TRACES_EXPORTER": "console, otlp"}, "http://collector:4318/v1/traces"),
        ({**AT, "OTEL_TRACES_EXPORTER": ""}, "http://collector:4318/v1/traces"),
        (
            {**AT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "http://collector:4318/v1/traces",
        ),
        (
            {
                **AT,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            "http://collector:4318/v1/traces",
        ),
        # What is off may be wrong.
        ({BASE: "collector", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_where_spans_go(environ: Mapping[str, str], expected: str | None) -> None:
    assert endpoint(environ) == expected


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({BASE: "collector:4318"}, f"{BASE} is no address like http://collector:4318"),
        ({BASE: "grpc://collector:4317"}, f"{BASE} is no address"),
        ({BASE: "http://"}, f"{BASE} is no address"),
        ({TRACES: "http://user:canary@collector:port"}, f"{TRACES} is no address"),
        ({**AT, "OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER can be otlp or none"),
        ({**AT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "sent by http/protobuf alone"),
        ({**AT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "sent by http/protobuf alone"),
    ],
)
def test_what_cannot_be(environ: Mapping[str, str], words: str) -> None:
    with pytest.raises(Unusable, match=words) as refused:
        endpoint(environ)
    assert "canary" not in str(refused.value)


async def test_what_cannot_be_is_one_warning_and_no_more() -> None:
    told: list[tuple[int, str, str]] = []
    environ = {BASE: "canary:4318"}
    async with traced(environ, SystemClock(), lambda *line: told.append(line)):
        pass
    assert told == [
        (
            logging.WARNING,
            "traces.off",
            f"no traces: {BASE} is no address like http://collector:4318",
        )
    ]


async def test_without_settings_nothing_is_traced_or_logged() -> None:
    told: list[tuple[int, str, str]] = []
    async with traced({}, SystemClock(), lambda *line: told.append(line)):
        pass
    assert told == []

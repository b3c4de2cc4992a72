"""Whether requests and answers keep to our schema, and to the published OpenAPI document of sql/v1.

The document is no part of the project: it is read from $ROTATOR_TEST_OPENAPI, or from beside the
repository. Where it is absent, only the comparison with it is skipped: the project's own schema
(flink_schema.py) is always there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import yaml
from jsonschema_path import SchemaPath
from openapi_core import V30RequestValidator, V30ResponseValidator
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers

from tests.support import flink_schema

DOCUMENT = Path(
    os.environ.get("ROTATOR_TEST_OPENAPI")
    or Path(__file__).parents[2].parent / "shared" / "confluent-sqlv1-openapi.yaml"
)

needs_published_document = pytest.mark.skipif(
    not DOCUMENT.is_file(),
    reason="the published OpenAPI document is absent; ROTATOR_TEST_OPENAPI may name it",
)


@dataclass(slots=True)
class SentRequest:
    """One request as it went over the wire."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    parameters: RequestParameters = field(init=False)

    def __post_init__(self) -> None:
        self.method = self.method.lower()
        self.body = self.body or None
        query = parse_qsl(urlsplit(self.url).query, keep_blank_values=True)
        self.parameters = RequestParameters(query=dict(query), header=Headers(self.headers))

    @property
    def host_url(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].lower()


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    status_code: int
    headers: Mapping[str, str]
    data: bytes | None

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].lower()


def breaches_of_request(answer: httpx.Response) -> list[str]:
    """What the project's own schema, and the published document where it is present, have against
    the request that was answered; empty if nothing."""
    own = flink_schema.breaches_of_request(_exchange(answer)) if _is_ours(answer) else []
    return own + (published_breaches_of_request(_request(answer)) if DOCUMENT.is_file() else [])


def breaches_of_answer(answer: httpx.Response) -> list[str]:
    own = flink_schema.breaches_of_answer(_exchange(answer)) if _is_ours(answer) else []
    if not DOCUMENT.is_file():
        return own
    given = GivenAnswer(answer.status_code, answer.headers, answer.content or None)
    return own + _messages(_validators()[1].iter_errors(_request(answer), given))


def published_breaches_of_request(request: SentRequest) -> list[str]:
    return _messages(_validators()[0].iter_errors(request))


def _is_ours(answer: httpx.Response) -> bool:
    """Whether rotator sends such requests too; the sandbox takes more."""
    sent = answer.request
    return "/connections" in sent.url.path and sent.method in {"GET", "PUT", "PATCH"}


def _exchange(answer: httpx.Response) -> flink_schema.Exchange:
    sent = answer.request
    return flink_schema.Exchange(
        sent.method, str(sent.url), sent.content, answer.status_code, answer.content
    )


def _request(answer: httpx.Response) -> SentRequest:
    sent = answer.request
    return SentRequest(sent.method, str(sent.url), sent.headers, sent.content)


def _messages(errors: Iterable[Exception]) -> list[str]:
    return [f"{error!r}: {error.__cause__ or error}" for error in errors]


@cache
def _validators() -> tuple[V30RequestValidator, V30ResponseValidator]:
    # The document calls auth_data.data base64 (`byte`); its own example, the documentation and the
    # official clients all have plain text there.
    text = {"byte": lambda value: isinstance(value, str)}
    return (
        V30RequestValidator(
            _document(requests=True),
            extra_format_validators=text,
            extra_media_type_deserializers={"application/json-patch+json": json.loads},
        ),
        V30ResponseValidator(_document(requests=False), extra_format_validators=text),
    )


def _document(*, requests: bool) -> SchemaPath:
    document = yaml.safe_load(DOCUMENT.read_text())
    document["servers"] = [{"url": "/"}]
    if requests:
        # An update must carry metadata.resource_version, says the document of the operation; the
        # schema of metadata says that it is read-only, and always has `self`. Only the first can
        # be meant.
        for name in ("ObjectMeta", "StatementObjectMeta"):
            schema = document["components"]["schemas"][name]
            del schema["readOnly"], schema["required"]
    return SchemaPath.from_dict(document)

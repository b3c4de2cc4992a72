"""What the gateway answers, before it goes over the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

Headers = tuple[tuple[bytes, bytes], ...]

JSON = (b"content-type", b"application/json")
HTML = (b"content-type", b"text/html; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Headers = ()


class ApiError(Exception):
    """A refusal that ends in the API's own error document."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        *,
        pointer: str | None = None,
        parameter: str | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.pointer = pointer
        self.parameter = parameter
        self.headers = headers

    def answer(self, request_id: str) -> Answer:
        source: dict[str, str] = {}
        if self.pointer:
            source["pointer"] = self.pointer
        if self.parameter:
            source["parameter"] = self.parameter
        document: Mapping[str, object] = {
            "errors": [
                {
                    "id": request_id,
                    "status": str(self.status),
                    "code": self.code,
                    "title": self.title,
                    "detail": self.detail,
                    "source": source,
                }
            ]
        }
        return Answer(self.status, json.dumps(document).encode(), (JSON, *self.headers))


def bad_request(detail: str, pointer: str | None = None) -> ApiError:
    return ApiError(400, "invalid_request", "Bad Request", detail, pointer=pointer)


def not_found(detail: str) -> ApiError:
    return ApiError(404, "resource_not_found", "Not Found", detail)


def conflict(detail: str) -> ApiError:
    return ApiError(409, "resource_version_conflict", "Conflict", detail)


def method_not_allowed(method: str, allowed: str) -> ApiError:
    return ApiError(
        405,
        "method_not_allowed",
        "Method Not Allowed",
        f"{method} is not allowed here",
        headers=((b"allow", allowed.encode()),),
    )

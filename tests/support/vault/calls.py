"""One request, as the parts of a Vault see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.faulty import Request
from tests.support.vault.answers import refused
from tests.support.vault.things import Token


@dataclass(frozen=True, slots=True)
class Call:
    request: Request
    method: str
    """LIST for a GET that asks for a list."""
    path: str
    """Without /v1/ and the namespace, decoded."""
    namespace: str
    query: Mapping[str, str]
    token: Token | None = None
    """The valid token that came with it, if it needs one."""

    @property
    def owner(self) -> Token:
        assert self.token is not None, f"{self.path} needs no token"
        return self.token

    @property
    def presented(self) -> str:
        """The token that was sent, valid or not."""
        bearer = self.request.headers.get("authorization", "").removeprefix("Bearer ")
        return self.request.headers.get("x-vault-token", bearer)

    @property
    def writes(self) -> bool:
        return self.method in {"POST", "PUT"}

    def sent(self) -> dict[str, Any]:
        """The JSON object of the body; {} without a body."""
        text = self.request.body.decode()
        if not text.strip():
            return {}
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            character = text[error.pos : error.pos + 1]
            said = f"failed to decode JSON input: invalid character '{character}'"
            raise refused(400, [said]) from None
        if not isinstance(found, dict):
            raise refused(400, ["failed to decode JSON input: not an object"])
        return found

    def below(self, mount: str) -> Call:
        """The same, with its path relative to a mount."""
        return replace(self, path=self.path.removeprefix(mount).removeprefix("/"))


def call_of(request: Request, namespaces: set[str]) -> Call:
    """A namespace may come as a header or at the start of the path."""
    parts = urlsplit(request.path)
    path = unquote(parts.path).removeprefix("/v1/")
    namespace = request.headers.get("x-vault-namespace", "").strip("/")
    whole = f"{namespace}/{path}" if namespace else path
    deeper = [n for n in namespaces if len(n) > len(namespace) and whole.startswith(f"{n}/")]
    if deeper:
        namespace = max(deeper, key=len)
        path = whole[len(namespace) + 1 :]
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    lists = request.method == "GET" and query.get("list") == "true"
    return Call(request, "LIST" if lists else request.method, path, namespace, query)

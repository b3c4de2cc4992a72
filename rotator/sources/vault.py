"""KV v2 of HashiCorp Vault and OpenBao, over hvac.

hvac is kept on a short lead: it resends the token to wherever a redirect leads, picks VAULT_TOKEN
and proxies from the environment, hides status codes, returns a Response where it expected JSON, and
its exceptions hold URLs and whole bodies. So it gets an adapter that keeps the status, follows
nothing, and raises our own errors.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from time import monotonic
from typing import Any
from urllib.parse import quote

import requests
from hvac.adapters import RawAdapter

from rotator.config.models import (
    FromEnv,
    FromFile,
    VaultAppRole,
    VaultKubernetes,
    VaultSource,
    VaultToken,
)
from rotator.config.references import resolve_local
from rotator.errors import (
    SecretInvalid,
    SecretMissing,
    SourceDenied,
    SourceError,
    SourceUnavailable,
    ValueUnavailable,
)
from rotator.model import Secret, SecretRef

DEFAULT_MOUNT = "kv"
_MARGIN = 60.0
"""Seconds before its end at which a token is replaced, or a tenth of its life if that is less."""


class _Answer(Exception):
    """An answer that is no success, with what decides: the status, and known phrases."""

    def __init__(self, status: int, errors: tuple[str, ...], data: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.errors = errors
        self.data = data

    def says(self, phrase: str) -> bool:
        return any(phrase in error for error in self.errors)


class _Adapter(RawAdapter):  # type: ignore[misc] # hvac ships no types
    """JSON objects, or _Answer: nothing else leaves it."""

    def request(self, *arguments: Any, **options: Any) -> Any:
        options["raise_exception"] = False
        response = super().request(*arguments, **options)
        document = _document(response)
        if response.status_code == 204:
            return {}
        if response.status_code != 200:
            listed = document.get("errors")
            errors = tuple(str(error) for error in listed) if isinstance(listed, list) else ()
            warnings = document.get("warnings")
            if isinstance(warnings, list):
                errors += tuple(str(warning) for warning in warnings)
            raise _Answer(response.status_code, errors, document)
        if not document:
            raise _Answer(0, (), {})
        return document


def _document(response: requests.Response) -> Mapping[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


class VaultReader:
    """Logs in when it first has to, and again when the token is refused or about to end."""

    def __init__(self, name: str, config: VaultSource) -> None:
        self._name = name
        self._config = config
        self._lock = threading.Lock()
        self._token: str | None = None
        self._token_ends = float("inf")
        self._no_metadata: set[str] = set()
        """Mounts whose metadata the policy doesn't permit: probed by reading."""

    def close(self) -> None:
        self._token = None

    def read(self, ref: SecretRef) -> Secret:
        document = self._get(ref, "data")
        data, metadata = _mapping(document, "data", "data"), _mapping(document, "data", "metadata")
        if data is None or metadata is None:
            raise SecretInvalid(
                self._name, ref.path, f"mount {_mount(ref)} does not answer as KV v2 does"
            )
        return Secret(ref, _version(metadata.get("version"), metadata.get("created_time")), data)

    def probe(self, ref: SecretRef) -> str:
        if _mount(ref) in self._no_metadata:
            return self.read(ref).version
        try:
            document = self._get(ref, "metadata")
        except SourceDenied:
            self._no_metadata.add(_mount(ref))
            return self.read(ref).version
        metadata = _mapping(document, "data") or {}
        current = metadata.get("current_version")
        present = _mapping(metadata, "versions", str(current))
        if present is None:
            raise SecretMissing(self._name, ref.path, "it has no version")
        if present.get("destroyed") is True:
            raise SecretMissing(self._name, ref.path, f"version {current} was destroyed")
        return _version(current, present.get("created_time"))

    # Requests

    def _get(self, ref: SecretRef, part: str) -> Mapping[str, Any]:
        parts = [*_mount(ref).split("/"), part, *ref.path.strip("/").split("/")]
        if not all(parts) or {".", ".."} & set(parts):
            raise SecretInvalid(self._name, ref.path, "a path without empty, . or .. parts")
        path = "/v1/" + "/".join(quote(part, safe="") for part in parts)
        token = self._login()
        try:
            return self._call(token, "get", path)
        except _Answer as answer:
            if answer.status != 403:
                raise self._error(ref, answer) from None
        if self._still_good(token):
            raise SourceDenied(
                self._name,
                ref.path,
                f"the token's policies don't permit reading {_mount(ref)}/{part}/{ref.path}",
            )
        self._forget(token)
        try:
            return self._call(self._login(), "get", path)
        except _Answer as answer:
            raise self._error(ref, answer) from None

    def _call(
        self, token: str, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """Raises _Answer, and SourceUnavailable where there is none."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self._config.ca_file) if self._config.ca_file else True
        adapter = _Adapter(
            base_uri=self._config.url,
            token=token or None,
            session=session,
            allow_redirects=False,
            timeout=self._config.timeout.total_seconds(),
            namespace=self._config.namespace,
        )
        try:
            options = {} if body is None else {"json": body}
            answer: Mapping[str, Any] = getattr(adapter, method)(path, **options)
        except requests.exceptions.SSLError:
            raise SourceUnavailable(
                self._name, "", "its TLS certificate is not trusted; check ca_file and url"
            ) from None
        except (requests.exceptions.RequestException, OSError) as error:
            raise SourceUnavailable(
                self._name, "", f"no answer from {self._config.url} ({type(error).__name__})"
            ) from None
        finally:
            session.close()
        return answer

    def _still_good(self, token: str) -> bool:
        try:
            self._call(token, "get", "/v1/auth/token/lookup-self")
        except _Answer as answer:
            return answer.status != 403
        return True

    def _error(self, ref: SecretRef, answer: _Answer) -> SourceError:
        """What an answer means, in words of our own: bodies are never repeated."""
        name, path = self._name, ref.path
        metadata = _mapping(answer.data, "data", "metadata")
        match answer.status:
            case 403:
                return SourceDenied(name, path, "permission denied, with a fresh token too")
            case 404 if metadata is not None:
                state = "destroyed" if metadata.get("destroyed") else "deleted"
                return SecretMissing(name, path, f"version {metadata.get('version')} was {state}")
            case 404 if answer.says("no handler for route"):
                return SecretMissing(name, path, f"there is no mount {_mount(ref)}; check mount")
            case 404 if answer.says("namespace not found"):
                return SecretMissing(name, path, "there is no such namespace; check namespace")
            case 404:
                return SecretMissing(
                    name, path, f"nothing at {_mount(ref)}/{path} (or the mount is no KV v2)"
                )
            case 400 if answer.says("Upgrading from non-versioned"):
                return SourceUnavailable(name, path, "its mount is being upgraded to KV v2")
            case 0:
                return SourceUnavailable(
                    name, path, "an answer that is no JSON; is url right, a proxy in between?"
                )
            case status if 300 <= status < 400:
                return SourceUnavailable(name, path, f"HTTP {status}: it redirects elsewhere")
            case status if status in {412, 429} or status >= 500:
                sealed = "sealed, or no active node: " if status == 503 else ""
                return SourceUnavailable(name, path, f"{sealed}HTTP {status}; try again later")
            case status:
                return SecretInvalid(name, path, f"HTTP {status}: it takes the request for wrong")

    # Logins

    def _login(self) -> str:
        """The present token; whoever comes first logs in for all."""
        with self._lock:
            if isinstance(self._config.auth, VaultToken):
                return self._value(self._config.auth.token, "token")
            if self._token is None or monotonic() >= self._token_ends:
                self._token = self._new_token()
            return self._token

    def _forget(self, token: str) -> None:
        with self._lock:
            if self._token == token:
                self._token = None

    def _new_token(self) -> str:
        auth = self._config.auth
        match auth:
            case VaultAppRole():
                role_id = (
                    auth.role_id
                    if isinstance(auth.role_id, str)
                    else self._value(auth.role_id, "role_id")
                )
                body = {"role_id": role_id, "secret_id": self._value(auth.secret_id, "secret_id")}
            case VaultKubernetes():
                jwt = self._value(FromFile(file=auth.token_file), "token_file")
                body = {"role": auth.role, "jwt": jwt.strip()}
            case VaultToken():
                raise AssertionError("a token needs no login")
        asked = monotonic()
        try:
            answer = self._call("", "post", f"/v1/auth/{auth.mount}/login", body)
        except _Answer as refused:
            raise self._login_error(auth.method, refused) from None
        granted = _mapping(answer, "auth") or {}
        token = granted.get("client_token")
        if not isinstance(token, str) or not token:
            raise SourceDenied(self._name, "", f"the {auth.method} login gave no usable token")
        life = granted.get("lease_duration")
        if isinstance(life, (int, float)) and life > 0:
            self._token_ends = asked + life - min(_MARGIN, life / 10)
        else:
            self._token_ends = float("inf")
        return token

    def _login_error(self, method: str, answer: _Answer) -> SourceError:
        if answer.status in {400, 401, 403, 404}:
            return SourceDenied(
                self._name,
                "",
                f"the {method} login was refused (HTTP {answer.status}); check role, mount, "
                "namespace and credential",
            )
        return SourceUnavailable(self._name, "", f"the {method} login: HTTP {answer.status}")

    def _value(self, reference: FromEnv | FromFile, key: str) -> str:
        try:
            return resolve_local(reference, f"auth.{key}")
        except ValueUnavailable as missing:
            raise SourceDenied(self._name, "", str(missing)) from None


def _mount(ref: SecretRef) -> str:
    return (ref.mount or DEFAULT_MOUNT).strip("/")


def _mapping(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any] | None:
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _version(number: object, created: object) -> str:
    """Both, for a key that is deleted and made again starts at 1."""
    return f"{number}@{created}"

"""An API server that keeps Leases, held against a real one's answers in `test_fake_kubernetes`.

with kubernetes_running() as kubernetes:
    kubernetes.account("pod-a", may=ROTATOR)      # its token is token-of-pod-a
    kubernetes.cut_off.add("pod-a")               # requests of it are never answered
    kubernetes.fail("PUT */leases/rotator", Trouble.RESET_AFTER)
"""

from __future__ import annotations

import json
import re
import ssl
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from tests.support.faulty import FaultyServer, Reply, Request

_PATH = re.compile(
    r"/apis/coordination\.k8s\.io/v1/namespaces/(?P<namespace>[^/]+)/leases(/(?P<name>[^/?]+))?"
)
_NAME = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_INVALID_NAME = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    f"for validation is '{_NAME}')"
)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{6})(Z|[+-]\d\d:\d\d)")
_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"
_FIELDS = ("holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions")

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a Role: verbs, and names if it is limited to some."""

    verbs: frozenset[str]
    names: frozenset[str] | None = None


def rotator_role(name: str = "rotator") -> tuple[Rule, ...]:
    """What rotator needs. `create` can't be limited to a name."""
    return (Rule(frozenset({"get", "update"}), frozenset({name})), Rule(frozenset({"create"})))


EVERYTHING = (Rule(frozenset({"get", "list", "create", "update", "patch", "delete"})),)


@dataclass(frozen=True, slots=True)
class Written:
    """A Lease as it was written."""

    at: float
    """Seconds of the monotonic clock."""
    who: str
    spec: Mapping[str, Any]


class _Status(Exception):
    """An answer that is not a Lease."""

    def __init__(
        self, code: int, reason: str, message: str, details: Document | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.body: Document = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }
        if details is not None:
            self.body["details"] = details


@dataclass(frozen=True, slots=True)
class _Call:
    who: str
    method: str
    namespace: str
    name: str
    body: bytes

    @property
    def verb(self) -> str:
        read = "get" if self.name else "list"
        return {"GET": read, "POST": "create", "PUT": "update"}.get(
            self.method, self.method.lower()
        )


@dataclass(slots=True)
class _State:
    accounts: dict[str, str] = field(default_factory=dict)
    """Token → account."""
    roles: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    leases: dict[tuple[str, str], Document] = field(default_factory=dict)
    version: int = 638


class FakeKubernetes(FaultyServer):
    """Faults work as in FaultyServer."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.namespaces = {"default"}
        self.journal: list[Written] = []
        self._state = _State()
        super().__init__(self._reply, tls)

    # What an administrator does

    def account(self, who: str, may: tuple[Rule, ...] = (), token: str = "") -> str:
        """Returns its token. A former token becomes invalid."""
        token = token or f"token-of-{who}"
        kept = {known: whose for known, whose in self._state.accounts.items() if whose != who}
        self._state.accounts = {**kept, token: who}
        self._state.roles[who] = may
        return token

    def lease(self, name: str = "rotator", namespace: str = "default") -> Document | None:
        return self._state.leases.get((namespace, name))

    def put(self, spec: Document, labels: Document, name: str = "rotator") -> None:
        """Writes the Lease as a program would that is no rotator."""
        metadata = {**self._metadata("default", name), "labels": labels}
        self._store("admin", "default", name, metadata, spec)

    def delete(self, name: str = "rotator") -> None:
        del self._state.leases["default", name]

    # Over HTTP

    def _who(self, request: Request) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return "system:anonymous"
        return self._state.accounts.get(token)

    def _reply(self, request: Request) -> Reply:
        headers = {"Content-Type": "application/json"}
        try:
            code, body = self._answer_to(request, headers)
        except _Status as status:
            code, body = status.code, status.body
        return Reply(code, json.dumps(body).encode(), headers)

    def _answer_to(self, request: Request, headers: dict[str, str]) -> tuple[int, Document]:
        who = self._who(request)
        if who is None:
            raise _Status(401, "Unauthorized", "Unauthorized")
        place = _PATH.fullmatch(request.path)
        if place is None:
            raise _Status(404, "NotFound", "the server could not find the requested resource")
        call = _Call(who, request.method, place["namespace"], place["name"] or "", request.body)
        self._authorize(call)
        if call.verb == "get":
            return 200, self._found(call)
        if call.verb == "list":
            items = [lease for (of, _), lease in self._state.leases.items() if of == call.namespace]
            return 200, {"kind": "LeaseList", "items": items}
        if call.verb == "delete":
            uid = self._found(call)["metadata"]["uid"]
            del self._state.leases[call.namespace, call.name]
            done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            return 200, {**done, "details": _details(call.name, uid=uid)}
        document = self._document(call, headers)
        return self._create(call, document) if call.verb == "create" else self._put(call, document)

    def _authorize(self, call: _Call) -> None:
        for rule in self._state.roles.get(call.who, ()):
            if call.verb in rule.verbs and (rule.names is None or call.name in rule.names):
                return
        what = f'leases.coordination.k8s.io "{call.name}"' if call.name else _GROUP
        raise _Status(
            403,
            "Forbidden",
            f'{what} is forbidden: User "{call.who}" cannot {call.verb} resource "leases" in API '
            f'group "coordination.k8s.io" in the namespace "{call.namespace}": access denied',
            _details(call.name),
        )

    def _found(self, call: _Call) -> Document:
        lease = self._state.leases.get((call.namespace, call.name))
        if lease is None:
            message = f'leases.coordination.k8s.io "{call.name}" not found'
            raise _Status(404, "NotFound", message, _details(call.name))
        return lease

    def _document(self, call: _Call, headers: dict[str, str]) -> Document:
        try:
            document: Document = json.loads(call.body)
        except ValueError:
            first = call.body.decode(errors="replace")
            raise _Status(
                400,
                "BadRequest",
                "the object provided is unrecognized (must be of type Lease): couldn't get "
                "version/kind; json parse error: invalid character "
                f"'{first[1:2]}' looking for beginning of object key string ({first})",
            ) from None
        if call.method == "PATCH":
            present = self._found(call)
            spec = {**present["spec"], **document.get("spec", {})}
            document = {"metadata": {"name": call.name}, "spec": spec}
        document["spec"] = _checked(document.get("spec", {}), headers)
        return document

    def _create(self, call: _Call, document: Document) -> tuple[int, Document]:
        name = document["metadata"]["name"]
        if call.namespace not in self.namespaces:
            raise _Status(
                404,
                "NotFound",
                f'namespaces "{call.namespace}" not found',
                {"name": call.namespace, "kind": "namespaces"},
            )
        if not re.fullmatch(_NAME, name):
            raise _invalid(name, "metadata.name", f'Invalid value: "{name}": {_INVALID_NAME}')
        _check_values(name, document["spec"])
        if (call.namespace, name) in self._state.leases:
            message = f'leases.coordination.k8s.io "{name}" already exists'
            raise _Status(409, "AlreadyExists", message, _details(name))
        return 201, self._new(call, name, document)

    def _put(self, call: _Call, document: Document) -> tuple[int, Document]:
        metadata, name = document["metadata"], call.name
        if metadata["name"] != name:
            raise _Status(
                400,
                "BadRequest",
                f"the name of the object ({metadata['name']}) does not match the name on the URL "
                f"({name})",
            )
        present = self._state.leases.get((call.namespace, name))
        there = present["metadata"]["uid"] if present else ""
        if metadata.get("uid", there) != there:
            raise _conflict(
                name,
                "StorageError: invalid object, Code: 4, Key: /registry/coordination.k8s.io/leases/"
                f"root/{call.namespace}/{name}, ResourceVersion: 0, AdditionalErrorMsg: "
                f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object "
                f"meta: {there}",
            )
        if present is None:
            return 201, self._new(call, name, document)
        if call.method == "PUT" and not metadata.get("resourceVersion"):
            raise _invalid(
                name,
                "metadata.resourceVersion",
                "Invalid value: 0: must be specified for an update",
                kind="leases",
            )
        if call.method == "PUT" and metadata["resourceVersion"] != _version(present):
            raise _conflict(
                name,
                "the object has been modified; please apply your changes to the latest version "
                "and try again",
            )
        _check_values(name, document["spec"])
        kept = {**present["metadata"], **_free(metadata)}
        return 200, self._store(call.who, call.namespace, name, kept, document["spec"])

    def _new(self, call: _Call, name: str, document: Document) -> Document:
        metadata = {**self._metadata(call.namespace, name), **_free(document["metadata"])}
        return self._store(call.who, call.namespace, name, metadata, document["spec"])

    def _metadata(self, namespace: str, name: str) -> Document:
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "name": name,
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": created,
        }

    def _store(
        self, who: str, namespace: str, name: str, metadata: Document, spec: Document
    ) -> Document:
        self._state.version += 1
        lease = {
            "kind": "Lease",
            "apiVersion": "coordination.k8s.io/v1",
            "metadata": {**metadata, "resourceVersion": str(self._state.version)},
            "spec": spec,
        }
        self._state.leases[namespace, name] = lease
        self.journal.append(Written(monotonic(), who, dict(spec)))
        return lease


_GROUP = "leases.coordination.k8s.io"


def _details(name: str, kind: str = "leases", **more: Any) -> Document:
    named = {"name": name} if name else {}
    return {**named, "group": "coordination.k8s.io", "kind": kind, **more}


def _version(lease: Document) -> str:
    return str(lease["metadata"]["resourceVersion"])


def _free(metadata: Document) -> Document:
    """What a client may write."""
    return {key: metadata[key] for key in ("labels", "annotations") if key in metadata}


def _conflict(name: str, why: str) -> _Status:
    message = f'Operation cannot be fulfilled on {_GROUP} "{name}": {why}'
    return _Status(409, "Conflict", message, _details(name))


def _invalid(name: str, place: str, why: str, kind: str = "Lease") -> _Status:
    what = _GROUP if kind == "leases" else "Lease.coordination.k8s.io"
    causes = [{"reason": "FieldValueInvalid", "message": why, "field": place}]
    message = f'{what} "{name}" is invalid: {place}: {why}'
    return _Status(422, "Invalid", message, _details(name, kind, causes=causes))


def _checked(spec: Document, headers: dict[str, str]) -> Document:
    """The object as the server decodes it: unknown fields are dropped with a warning, times
    normalised."""
    for key in [key for key in spec if key not in _FIELDS]:
        headers["Warning"] = f'299 - "unknown field \\"spec.{key}\\""'
    known = {key: value for key, value in spec.items() if key in _FIELDS and value is not None}
    seconds = known.get("leaseDurationSeconds")
    if isinstance(seconds, float):
        raise _undecodable(
            f"json: cannot unmarshal number {seconds} into Go struct field "
            "LeaseSpec.spec.leaseDurationSeconds of type int32"
        )
    return {key: _time(value) if key.endswith("Time") else value for key, value in known.items()}


def _undecodable(why: str) -> _Status:
    message = f'Lease in version "v1" cannot be handled as a Lease: {why}'
    return _Status(400, "BadRequest", message)


def _time(text: str) -> str:
    if _TIME.fullmatch(text):
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    wrong = f'parsing time "{text}" as "{_LAYOUT}": cannot parse '
    date = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text)
    if date is None:
        raise _undecodable(f'{wrong}"{text}" as "2006"')
    rest = text[date.end() :]
    if re.match(r"\.\d{6}", rest):
        raise _undecodable(f'{wrong}"{rest[7:]}" as "Z07:00"')
    raise _undecodable(f'{wrong}"{rest}" as ".000000"')


def _check_values(name: str, spec: Document) -> None:
    if spec.get("leaseDurationSeconds", 1) <= 0:
        why = f"Invalid value: {spec['leaseDurationSeconds']}: must be greater than 0"
        raise _invalid(name, "spec.leaseDurationSeconds", why)


@contextmanager
def kubernetes_running(tls: ssl.SSLContext | None = None) -> Iterator[FakeKubernetes]:
    kubernetes = FakeKubernetes(tls)
    with kubernetes.serving():
        yield kubernetes

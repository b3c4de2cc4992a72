"""The statements of one environment: which connections they use, and how they stop and resume."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

from pydantic import ConfigDict, with_config

from rotator.sandbox.answers import ApiError, conflict, not_found
from rotator.sandbox.paging import PageRequest
from rotator.sandbox.timeline import Timeline
from rotator.sandbox.world import World, check_name, own_address, render, timestamp

COLLECTION = "statements"
DEFAULT_POOL = "lfcp-sandbox"
DEFAULT_PRINCIPAL = "u-sandbox"


@dataclass(frozen=True, slots=True)
class StoredStatement:
    name: str
    environment: str
    sql: str
    connection_refs: tuple[str, ...]
    compute_pool: str
    principal: str
    properties: Mapping[str, str]
    uid: str
    created_at: float
    updated_at: float
    version: str
    stopped: bool
    phase: str
    detail: str = ""

    def rendered(self, organization: str) -> bytes:
        return render(self._document(organization))

    def _document(self, organization: str) -> Mapping[str, object]:
        return {
            "api_version": "sql/v1",
            "kind": "Statement",
            "metadata": {
                "self": own_address(COLLECTION, self.name),
                "uid": self.uid,
                "resource_version": self.version,
                "created_at": timestamp(self.created_at),
                "updated_at": timestamp(self.updated_at),
                "labels": {},
            },
            "name": self.name,
            "organization_id": organization,
            "environment_id": self.environment,
            "spec": {
                "statement": self.sql,
                "statement_name": self.name,
                "properties": dict(self.properties),
                "compute_pool_id": self.compute_pool,
                "principal": self.principal,
                "stopped": self.stopped,
            },
            "status": {
                "phase": self.phase,
                "detail": self.detail,
                "traits": {
                    "sql_kind": "INSERT_INTO",
                    "is_bounded": False,
                    "is_append_only": True,
                    "connection_refs": list(self.connection_refs),
                },
            },
        }


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class StatementSpec:
    """A new statement, as a client or a person who prepares the sandbox describes it."""

    name: str
    sql: str
    connection_refs: tuple[str, ...] = ()
    compute_pool: str = DEFAULT_POOL
    principal: str = DEFAULT_PRINCIPAL
    stopped: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)


class Statements:
    """The statements. They raise ApiError. To stop and to resume take as long as a connection takes
    to settle."""

    def __init__(self, world: World, environment: str) -> None:
        self._world = world
        self._environment = environment
        self._timelines: dict[str, Timeline[StoredStatement]] = {}
        self._names: list[str] = []

    def read(self, name: str) -> StoredStatement:
        return self._found(name, self._world.now() - self._world.settings.lag)

    def page(
        self, request: PageRequest, compute_pool: str | None = None
    ) -> tuple[list[StoredStatement], bool]:
        when = self._world.now() - self._world.settings.lag
        found: list[StoredStatement] = []
        for name in self._names[bisect_right(self._names, request.after) :]:
            statement = self._timelines[name].at(when)
            if statement is None or compute_pool not in {None, statement.compute_pool}:
                continue
            if len(found) == request.size:
                return found, True
            found.append(statement)
        return found, False

    def create(self, spec: StatementSpec) -> StoredStatement:
        check_name(spec.name)
        now = self._world.now()
        timeline = self._timelines.get(spec.name)
        if timeline and timeline.at(now):
            raise ApiError(
                409, "resource_already_exists", "Conflict", f"statement {spec.name} already exists"
            )
        if timeline is None:
            self._timelines[spec.name] = Timeline()
            insort(self._names, spec.name)
        statement = StoredStatement(
            name=spec.name,
            environment=self._environment,
            sql=spec.sql,
            connection_refs=spec.connection_refs,
            compute_pool=spec.compute_pool,
            principal=spec.principal,
            properties=dict(spec.properties),
            uid=str(uuid4()),
            created_at=now,
            updated_at=now,
            version=self._world.next_version(),
            stopped=spec.stopped,
            phase="",
        )
        return self._move(statement, now)

    def update(
        self,
        name: str,
        *,
        version: str | None = None,
        stopped: bool | None = None,
        compute_pool: str | None = None,
        principal: str | None = None,
    ) -> StoredStatement:
        """What is None stays as it is."""
        now = self._world.now()
        old = self._found(name, now)
        if version is not None and version != old.version:
            raise conflict(
                f"metadata.resource_version is {version}, but statement {name} is at {old.version}"
            )
        new = replace(
            old,
            updated_at=now,
            version=self._world.next_version(),
            stopped=old.stopped if stopped is None else stopped,
            compute_pool=compute_pool or old.compute_pool,
            principal=principal or old.principal,
        )
        if new.stopped == old.stopped:
            self._write(name, now, (now, new))
            return new
        return self._move(new, now)

    def delete(self, name: str) -> None:
        now = self._world.now()
        statement = self._found(name, now)
        gone = now + self._world.settings.settle
        deleting = replace(statement, phase="DELETING")
        if gone > now:
            self._write(name, now, (now, deleting), (gone, None))
        else:
            self._write(name, now, (now, None))

    def _move(self, statement: StoredStatement, now: float) -> StoredStatement:
        moving, there = ("STOPPING", "STOPPED") if statement.stopped else ("PENDING", "RUNNING")
        settled = now + self._world.settings.settle
        last = replace(statement, phase=there)
        if settled <= now:
            self._write(statement.name, now, (now, last))
            return last
        first = replace(statement, phase=moving)
        self._write(statement.name, now, (now, first), (settled, last))
        return first

    def _write(self, name: str, now: float, *views: tuple[float, StoredStatement | None]) -> None:
        self._timelines[name].write(now, *views, lag=self._world.settings.lag)

    def _found(self, name: str, when: float) -> StoredStatement:
        timeline = self._timelines.get(name)
        statement = timeline.at(when) if timeline else None
        if statement is None:
            raise not_found(f"statement {name} does not exist")
        return statement

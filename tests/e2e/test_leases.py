"""Credentials that Vault makes for us: one lease after the other, and no connection without one.

A Vault and a Confluent Cloud over HTTP, the real ledger, and time that the test moves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rotator.config.models import Config
from rotator.model.events import LeaseChanged, SourceRead
from rotator.model.lease import LeaseState
from rotator.model.plan import Verdict
from rotator.model.run import RunResult
from rotator.sandbox.server import Sandbox
from tests.support.deployment import Deployment
from tests.support.faulty import Trouble
from tests.support.leasing import MovedClock, Process, process
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.vault import ROOT, DatabaseRole, FakeVault, Login, vault_running

__all__ = ["sandbox"]

HOUR = 3600.0
CREDS = "GET /v1/database/creds/*"


@dataclass(slots=True)
class Site:
    """A Vault, a cloud, and rotator's processes beside them, one after the other."""

    vault: FakeVault
    cloud: Sandbox
    clock: MovedClock
    document: dict[str, Any]
    stack: AsyncExitStack
    _open: AsyncExitStack | None = field(default=None)

    async def start(self) -> Process:
        """Another process, after the end of the one before."""
        await self.stop()
        self._open = await self.stack.enter_async_context(AsyncExitStack())
        config = Config.model_validate(self.document)
        return await self._open.enter_async_context(process(config, self.clock))

    async def stop(self) -> None:
        if self._open is not None:
            await self._open.aclose()
            self._open = None

    def advance(self, seconds: float) -> None:
        self.clock.ahead += seconds
        self.vault.advance(seconds)

    @property
    def rotation(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["rotations"]["mongodb"]
        return found

    def passwords(self) -> dict[str, str]:
        """What each connection holds."""
        connections = self.cloud.state.connections()
        return {name: connections.current(name).data["PASSWORD"] for name in connections.names()}

    def without_a_valid_credential(self) -> set[str]:
        """Connections whose password no user of the database has."""
        valid = set(self.vault.users.values())
        return {name for name, password in self.passwords().items() if password not in valid}

    @property
    def made(self) -> int:
        return self.vault.count(CREDS)


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with vault_running() as (vault, _):
        vault.databases["database", "flink"] = DatabaseRole(ttl=HOUR, max_ttl=24 * HOUR)
        vault.policies["flink"] = ("database/creds/*", "sys/leases/revoke")
        vault.logins["approle", "role"] = Login({"secret_id": "canary-secret-id"}, ("flink",), HOUR)
        yield vault


@pytest.fixture
async def site(
    vault: FakeVault, sandbox: SandboxFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    cloud = await sandbox(connections=4, types=("MONGODB",), settle=0.0)
    deployment = Deployment(tmp_path, cloud.url)
    for name, value in deployment.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SECRET_ID", "canary-secret-id")
    document = deployment.document
    document["sources"] = {
        "vault": {
            "kind": "vault",
            "url": vault.url,
            "auth": {"method": "approle", "role_id": "role", "secret_id": {"env": "SECRET_ID"}},
            "timeout": "3s",
        }
    }
    document["rotations"] = {
        "mongodb": {
            "targets": ["sandbox"],
            "match": {"type": ["MONGODB"]},
            "secret": {"source": "vault", "engine": "database", "path": "creds/flink"},
            "credential": {"username": "username", "password": "password"},
            "verify": {"timeout": "5s", "interval": "100ms"},
        }
    }
    async with AsyncExitStack() as stack:
        made = Site(vault, cloud, MovedClock(), document, stack)
        vault.now = made.clock.now()
        yield made


def changes(rotator: Process) -> list[str]:
    return [event.what for event in rotator.events if isinstance(event, LeaseChanged)]


async def test_one_lease_for_all_and_none_for_a_plan(site: Site) -> None:
    rotator = await site.start()
    assert {change.verdict for change in (await rotator.plan("mongodb")).plan.changes} == {
        Verdict.NEW
    }
    assert site.made == 0, "a plan makes no credential"

    await rotator.rotate("mongodb")
    assert site.made == 1
    assert len(set(site.passwords().values())) == 1
    assert site.without_a_valid_credential() == set()
    (lease,) = await rotator.leases()
    assert (lease.state, lease.duration, lease.ref.holder) == (LeaseState.LIVE, HOUR, "mongodb")

    await rotator.rotate("mongodb")
    assert site.made == 1, "its lease lives longer than that"


async def test_a_lease_for_each_connection(site: Site) -> None:
    site.rotation["secret"]["lease"] = "per-connection"
    rotator = await site.start()
    await rotator.rotate("mongodb")
    assert site.made == 4
    assert len(set(site.passwords().values())) == 4
    holders = {lease.ref.holder for lease in await rotator.leases()}
    assert holders == {f"mongodb/sandbox/{name}" for name in site.passwords()}


async def test_the_old_lease_lives_until_all_are_verified_and_the_grace_is_over(
    site: Site,
) -> None:
    rotator = await site.start()
    await rotator.rotate("mongodb")
    (old,) = await rotator.leases()
    await rotator.rotate("mongodb", force=True)
    assert site.vault.revoked == []
    retired, live = await rotator.leases()
    assert (retired.id, retired.state, live.state) == (
        old.id,
        LeaseState.RETIRED,
        LeaseState.LIVE,
    )
    await rotator.keep()
    assert site.vault.revoked == [], "statements that are under way may still use it"
    site.advance(301)
    await rotator.keep()
    assert site.vault.revoked == [old.id]
    assert await rotator.leases() == [live]
    assert site.without_a_valid_credential() == set()


async def test_a_bad_canary_leaves_the_others_on_a_lease_that_is_kept_alive(site: Site) -> None:
    rotator = await site.start()
    await rotator.rotate("mongodb")
    (first,) = await rotator.leases()
    before = site.passwords()

    site.vault.databases["database", "flink"].prefix = "invalid-"
    run = await rotator.run("mongodb", force=True)
    assert run.result is RunResult.FAILED
    assert sum(password != before[name] for name, password in site.passwords().items()) == 1
    states = {lease.id: lease.state for lease in await rotator.leases()}
    assert len(states) == 2
    assert states[first.id] is LeaseState.LIVE

    site.advance(HOUR * 0.7)
    assert await rotator.keep() == frozenset()
    assert changes(rotator).count("renewed") == 2
    site.vault.databases["database", "flink"].prefix = ""
    await rotator.rotate("mongodb")
    assert site.without_a_valid_credential() == set()


async def test_renewed_for_a_day_and_replaced_before_its_maximum(site: Site) -> None:
    """The clock moves ten minutes at a time, which is how often a daemon would look."""
    rotator = await site.start()
    await rotator.rotate("mongodb")
    runs = 0
    for _ in range(6 * 48):
        site.advance(600)
        if "mongodb" in await rotator.keep():
            runs += 1
            await rotator.rotate("mongodb")
        assert site.without_a_valid_credential() == set()
    assert 2 <= runs <= 3
    assert site.made == runs + 1
    assert changes(rotator).count("renewed") > 40
    live = await rotator.leases(LeaseState.LIVE)
    assert len(live) == 1


async def test_a_restart_makes_no_new_credential_while_the_former_token_lives(site: Site) -> None:
    rotator = await site.start()
    await rotator.rotate("mongodb")
    await rotator.keep()
    rotator = await site.start()
    assert site.vault.revoked == [], "the token that owns live leases is not revoked"
    site.advance(600)
    assert await rotator.keep() == frozenset()
    await rotator.rotate("mongodb")
    assert site.made == 1

    # Nobody renews the token of a process that is gone: its leases end with it.
    for _ in range(4):
        site.advance(600)
        if await rotator.keep():
            await rotator.rotate("mongodb")
        assert site.without_a_valid_credential() == set()
    assert site.made == 2
    site.advance(HOUR / 2)
    assert site.without_a_valid_credential() == set()


async def test_a_restart_after_the_lease_has_ended(site: Site) -> None:
    """The credential is replaced at once."""
    rotator = await site.start()
    await rotator.rotate("mongodb")
    await site.stop()
    site.advance(25 * HOUR)
    assert len(site.without_a_valid_credential()) == 4
    rotator = await site.start()
    assert await rotator.keep() == {"mongodb"}
    await rotator.rotate("mongodb")
    assert site.without_a_valid_credential() == set()
    assert await rotator.keep() == frozenset()


async def test_leases_that_somebody_revoked_are_replaced(site: Site) -> None:
    """An operator revokes the token, and with it every lease."""
    rotator = await site.start()
    await rotator.rotate("mongodb")
    (lease,) = await rotator.leases()
    for token in list(site.vault.tokens):
        if site.vault.tokens[token].path.startswith("auth/approle"):
            site.vault.revoke_token(token)
    assert len(site.without_a_valid_credential()) == 4
    site.advance(61)
    assert await rotator.keep() == {"mongodb"}, "within a minute, not when a renewal is due"
    await rotator.rotate("mongodb")
    assert site.without_a_valid_credential() == set()
    site.advance(301)
    before = len(site.vault.revoked)
    await rotator.keep()
    assert site.vault.revoked[before:] == [], "what is gone is not revoked again"
    assert lease.id not in {held.id for held in await rotator.leases()}


async def test_an_answer_that_is_lost_is_not_asked_for_again(site: Site) -> None:
    """The user was made, and nobody knows its lease."""
    site.vault.fail(CREDS, Trouble.RESET_AFTER)
    rotator = await site.start()
    run = await rotator.run("mongodb")
    assert run.result is RunResult.FAILED
    assert site.made == 1
    (asked,) = await rotator.leases()
    assert asked.state is LeaseState.ASKED
    assert changes(rotator) == ["lost"]
    await rotator.rotate("mongodb")
    assert site.made == 2
    assert {lease.state for lease in await rotator.leases()} == {LeaseState.ASKED, LeaseState.LIVE}


async def test_an_orphan_of_a_crash_is_found_and_revoked(site: Site) -> None:
    """Killed between the answer of Vault and the first intent: nobody ever got the credential."""
    rotator = await site.start()
    await rotator.rotate("mongodb")
    (live,) = await rotator.leases()
    source = rotator.context.sources["vault"]
    orphan = (await source.read(replace(live.ref, holder="a process that died"))).lease
    assert orphan is not None
    await rotator.context.ledger.keep_lease(replace(live, id=orphan.id, run_id="run-of-the-dead"))

    rotator = await site.start()
    await rotator.rotate("mongodb")
    assert {lease.id: lease.state for lease in await rotator.leases()} == {
        live.id: LeaseState.LIVE,
        orphan.id: LeaseState.RETIRED,
    }
    site.advance(301)
    await rotator.keep()
    assert site.vault.revoked == [orphan.id]
    assert list(site.vault.leases) == [live.id]
    assert site.without_a_valid_credential() == set()


async def test_a_lease_that_somebody_revoked_is_noticed_at_the_start(site: Site) -> None:
    """Nobody has looked for a while, so a renewal finds out."""
    rotator = await site.start()
    await rotator.rotate("mongodb")
    await rotator.keep()
    await site.stop()
    (lease,) = list(site.vault.leases)
    site.vault.revoke_lease(lease)
    site.advance(60)
    rotator = await site.start()
    assert await rotator.keep() == {"mongodb"}
    assert changes(rotator) == ["ended"]
    await rotator.rotate("mongodb")
    assert site.without_a_valid_credential() == set()


async def test_a_revocation_without_the_policy_shortens_the_lease(site: Site) -> None:
    site.vault.policies["flink"] = ("database/creds/*",)
    rotator = await site.start()
    await rotator.rotate("mongodb")
    old = set(site.vault.leases)
    await rotator.rotate("mongodb", force=True)
    site.advance(301)
    await rotator.keep()
    assert "shortened" in changes(rotator)
    site.advance(2)
    assert not old & set(site.vault.leases)
    assert len(await rotator.leases()) == 1


async def test_a_database_that_is_down_delays_and_loses_nothing(site: Site) -> None:
    """400 `failed to renew entry` and `failed to revoke entry` are tried again."""
    rotator = await site.start()
    await rotator.rotate("mongodb")
    await rotator.rotate("mongodb", force=True)
    site.vault.database_down = True
    site.advance(HOUR * 0.7)
    await rotator.keep()
    assert {"not renewed", "not revoked"} <= set(changes(rotator))
    before = len(changes(rotator))
    await rotator.keep()
    assert len(changes(rotator)) == before, "not again at once"
    run = await rotator.run("mongodb", force=True)
    assert run.result is RunResult.FAILED
    assert site.without_a_valid_credential() == set(), "what works stays in place"

    site.vault.database_down = False
    site.advance(30)
    await rotator.keep()
    assert {"renewed", "revoked"} <= set(changes(rotator))
    await rotator.rotate("mongodb")
    assert site.without_a_valid_credential() == set()


async def test_a_source_that_fails_leaves_every_connection_as_it_is(site: Site) -> None:
    rotator = await site.start()
    await rotator.rotate("mongodb")
    before = site.passwords()
    site.vault.sealed = True
    run = await rotator.run("mongodb", force=True)
    assert run.result is RunResult.FAILED
    assert "sealed" in (await rotator.last_outcome()).reason
    assert site.passwords() == before
    assert await rotator.keep() == frozenset()
    assert [lease.state for lease in await rotator.leases()] == [LeaseState.LIVE]


async def test_connections_that_are_gone_give_their_leases_back(site: Site) -> None:
    site.rotation["secret"]["lease"] = "per-connection"
    rotator = await site.start()
    await rotator.rotate("mongodb")
    gone = next(iter(site.passwords()))
    site.cloud.state.connections().delete(gone)
    await rotator.rotate("mongodb")
    (retired,) = await rotator.leases(LeaseState.RETIRED)
    assert retired.ref.holder == f"mongodb/sandbox/{gone}"
    assert site.made == 4


async def test_a_schedule_is_for_fresh_credentials(site: Site) -> None:
    site.rotation["schedule"] = {"cron": "0 3 * * *"}
    rotator = await site.start()
    await rotator.rotate("mongodb")
    await rotator.rotate("mongodb")
    assert site.made == 1
    for _ in range(25 * 6):
        site.advance(600)
        await rotator.keep()
    await rotator.rotate("mongodb")
    assert site.made == 2
    await rotator.rotate("mongodb")
    assert site.made == 2


async def test_another_mapping_is_another_credential(site: Site) -> None:
    rotator = await site.start()
    await rotator.rotate("mongodb")
    site.rotation["credential"] = {"username": "password", "password": "username"}
    rotator = await site.start()
    assert {change.reason for change in (await rotator.plan("mongodb")).plan.changes} == {
        "the mapping of its credential changed"
    }
    await rotator.rotate("mongodb")
    assert site.made == 2


@pytest.mark.parametrize(
    "change", [{"path": "creds/other"}, {"lease": "per-connection"}, {"mount": "other"}]
)
async def test_another_secret_in_the_configuration_is_another_credential(
    site: Site, change: dict[str, str]
) -> None:
    for place in (("database", "other"), ("other", "flink")):
        site.vault.databases[place] = DatabaseRole()
    site.vault.policies["flink"] = ("database/creds/*", "other/creds/*", "sys/leases/revoke")
    rotator = await site.start()
    await rotator.rotate("mongodb")
    (before,) = await rotator.leases()
    site.rotation["secret"].update(change)
    rotator = await site.start()
    assert {made.reason for made in (await rotator.plan("mongodb")).plan.changes} == {
        "its rotation asks for another credential now"
    }
    await rotator.rotate("mongodb")
    assert {lease.id for lease in await rotator.leases(LeaseState.RETIRED)} == {before.id}
    assert site.without_a_valid_credential() == set()
    await rotator.rotate("mongodb")
    assert len(await rotator.leases(LeaseState.RETIRED)) == 1


async def test_a_rotation_that_is_gone_leaves_its_leases_to_their_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOT_TOKEN", ROOT)
    token = {"method": "token", "token": {"env": "ROOT_TOKEN"}}
    site.document["sources"]["vault"]["auth"] = token
    rotator = await site.start()
    await rotator.rotate("mongodb")
    site.document["rotations"]["other"] = site.document["rotations"].pop("mongodb")
    site.document["rotations"]["other"]["match"] = {"name": ["none"]}
    rotator = await site.start()
    for _ in range(12):
        site.advance(600)
        assert await rotator.keep() == frozenset()
        assert site.without_a_valid_credential() == set(), "connections live on it"
    site.advance(30 * HOUR)
    await rotator.keep()
    assert await rotator.leases() == []


async def test_a_configured_token_that_was_revoked_is_reported_and_replaced_with_its_leases(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rotator can't log in for it. Once another token is in place, its leases are replaced."""
    first = site.vault.token("flink", ttl=86400)
    monkeypatch.setenv("FIXED_TOKEN", first)
    token = {"method": "token", "token": {"env": "FIXED_TOKEN"}}
    site.document["sources"]["vault"]["auth"] = token
    rotator = await site.start()
    await rotator.rotate("mongodb")
    await rotator.keep()
    site.vault.revoke_token(first)
    site.advance(61)
    await rotator.keep()
    told = [event for event in rotator.events if isinstance(event, SourceRead) and event.reason]
    assert [(event.operation, event.result) for event in told] == [("keep_alive", "login_denied")]

    monkeypatch.setenv("FIXED_TOKEN", site.vault.token("flink", ttl=86400))
    site.advance(61)
    for _ in range(3):
        if await rotator.keep():
            await rotator.rotate("mongodb")
        site.advance(30)
    await rotator.rotate("mongodb")
    assert site.without_a_valid_credential() == set()


async def test_no_value_is_left_behind(site: Site, tmp_path: Path) -> None:
    rotator = await site.start()
    await rotator.rotate("mongodb")
    await rotator.rotate("mongodb", force=True)
    site.advance(HOUR / 2)
    await rotator.keep()
    values = [value for pair in site.vault.users.items() for value in pair]
    assert values
    shown = (
        repr(rotator.events) + repr(await rotator.leases()) + repr(await rotator.plan("mongodb"))
    )
    await site.stop()
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for value in (*values, *site.vault.tokens, "canary-secret-id"):
        assert value not in shown
        assert value.encode() not in written

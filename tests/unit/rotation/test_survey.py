"""What a run would do, from what targets list, sources tell and the ledger remembers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.errors import Cause, SourceUnavailable, TargetError
from rotator.model.lease import HeldLease, LeaseState, Owner
from rotator.model.plan import Change, Verdict
from rotator.model.record import Record, Stage
from rotator.model.rule import FieldOf, Matching, SecretPlace
from rotator.model.run import ActedOn
from rotator.model.secret import SecretRef
from rotator.rotation.survey import Survey, survey
from tests.support.memory import Memory, MemorySource, fingerprint
from tests.unit.rotation.in_memory import DOWN, LEASED, PATH, in_memory, secret
from tests.unit.rotation.values import NOON, record, rule

REF = SecretRef("vault", PATH)
GOOD = fingerprint({"API_KEY": "good-1"})


async def of(memory: Memory, **options: Any) -> Survey:
    return await survey(memory.context, "openai", **options)


async def changes(memory: Memory, **options: Any) -> dict[str, Change]:
    plan = (await of(memory, **options)).plan
    return {change.connection.name: change for change in plan.changes}


def verified(name: str, target: str = "prod", **fields: Any) -> Record:
    made = record(
        Stage.VERIFIED,
        name=name,
        target=target,
        fingerprint=GOOD,
        secret_version="v1",
        version="1",
        before=None,
        uid=f"uid-{name}",
    )
    return replace(made, **fields)


class TestPlan:
    async def test_what_is_on_record_is_compared_and_the_rest_is_new(self) -> None:
        memory = in_memory("a", "b")
        await memory.ledger.write(verified("a"))
        found = await of(memory)
        verdicts = {change.connection.name: change.verdict for change in found.plan.changes}
        assert verdicts == {"a": Verdict.UNCHANGED, "b": Verdict.NEW}
        assert (found.plan.rotation, found.plan.matched) == ("openai", 2)
        assert found.plan.missing_targets == ()

    async def test_nothing_is_written(self) -> None:
        memory = in_memory("a")
        memory.ledger.writes_left = 0
        assert (await of(memory)).plan.pending
        assert memory.targets["prod"].puts == []

    async def test_a_secret_that_many_connections_share_is_read_once(self) -> None:
        memory = in_memory("a", "b", targets=("east", "west"))
        await of(memory)
        assert memory.sources["vault"].read_paths == [PATH]

    async def test_a_filter_limits_the_changes_and_not_what_is_counted(self) -> None:
        memory = in_memory("a-1", "a-2", "b-1", secret=SecretPlace("vault", "flink/{connection}"))
        found = await of(memory, only="b-*")
        assert [change.connection.name for change in found.plan.changes] == ["b-1"]
        assert found.plan.matched == 3
        assert memory.sources["vault"].read_paths == ["flink/b-1"], "nor are other secrets read"

    async def test_force_puts_what_is_unchanged(self) -> None:
        memory = in_memory("a")
        await memory.ledger.write(verified("a"))
        assert (await changes(memory, force=True))["a"].update

    async def test_drift_is_reported_where_the_rule_says_so(self) -> None:
        memory = in_memory("a", reapply_drift=False)
        memory.targets["prod"].set("a", "READY", "9")
        await memory.ledger.write(verified("a"))
        change = (await changes(memory))["a"]
        assert (change.verdict, change.update) == (Verdict.DRIFTED, False)

    async def test_unknown_connections_are_adopted_where_the_ledger_is_to(self) -> None:
        memory = in_memory("a")
        memory.adopt_unknown = True
        assert (await changes(memory))["a"].verdict is Verdict.ADOPTED

    async def test_a_type_that_is_not_known_is_warned_of(self) -> None:
        memory = in_memory(mapping={"API_KEY": FieldOf("api_key")}, matching=Matching())
        memory.targets["prod"].add("a", type="NEXT_YEARS")
        change = (await changes(memory))["a"]
        assert change.warning == "type NEXT_YEARS is not known: keys are sent as written"
        assert change.update


class TestInvalid:
    async def reason(self, memory: Memory, cause: Cause = Cause.CREDENTIAL) -> str:
        change = (await changes(memory))["a"]
        assert change.verdict is Verdict.INVALID
        assert change.cause is cause
        return change.reason

    async def test_a_name_that_cannot_be_part_of_a_path(self) -> None:
        memory = in_memory("..", secret=SecretPlace("vault", "flink/{connection}"))
        (change,) = (await of(memory)).plan.changes
        assert (change.verdict, change.secret) == (Verdict.INVALID, None)
        assert "can't be part of the path" in change.reason

    async def test_a_connection_that_several_rotations_match(self) -> None:
        memory = in_memory("a")
        memory.rules["other"] = rule("other")
        reason = await self.reason(memory)
        assert reason == "several rotations match it (openai, other): narrow match"

    async def test_a_secret_that_cannot_be_read(self) -> None:
        memory = in_memory("a")
        memory.sources["vault"].trouble = SourceUnavailable("vault", PATH, "it is sealed")
        assert await self.reason(memory, Cause.SECRET) == f"source vault, {PATH}: it is sealed"

    async def test_one_source_that_fails_leaves_the_others_alone(self) -> None:
        memory = in_memory("a", secret=SecretPlace("vault", "flink/{connection}"))
        memory.targets["prod"].add("b")
        memory.sources["vault"].secrets["flink/b"] = ("v1", {"api_key": "good"})
        found = await changes(memory)
        assert found["a"].reason == "source vault, flink/a: there is no such secret"
        assert found["b"].update

    async def test_a_secret_that_lacks_the_field(self) -> None:
        memory = in_memory("a", mapping={"api-key": FieldOf("apikey")})
        reason = "api-key: the secret has no field 'apikey', did you mean 'api_key'?"
        assert await self.reason(memory) == reason

    @pytest.mark.parametrize("place", [SecretPlace("vault", PATH), LEASED], ids=["read", "leased"])
    async def test_options_that_the_type_does_not_take(self, place: SecretPlace) -> None:
        memory = in_memory("a", mapping={"token": FieldOf("api_key")}, secret=place)
        assert (await self.reason(memory)).startswith("type OPENAI can't take token")


class TestTargets:
    async def test_one_that_cannot_be_listed_is_missing_from_the_plan(self) -> None:
        memory = in_memory("a", targets=("east", "west"))
        memory.targets["west"].trouble = DOWN
        found = await of(memory)
        assert found.plan.missing_targets == ("west",)
        assert [change.connection.target for change in found.plan.changes] == ["east"]

    async def test_where_none_can_be_listed_there_is_no_plan(self) -> None:
        memory = in_memory("a")
        memory.targets["prod"].trouble = DOWN
        with pytest.raises(TargetError):
            await of(memory)


class TestActedOn:
    async def test_the_version_that_was_read_for_each_connection(self) -> None:
        memory = in_memory("a", "b")
        seen = ActedOn(REF, "v1")
        assert (await of(memory)).acted_on == {("prod", "a"): seen, ("prod", "b"): seen}

    async def test_only_for_those_that_a_filter_names(self) -> None:
        """The others still wait for the change."""
        found = await of(in_memory("a", "b"), only="a")
        assert found.acted_on == {("prod", "a"): ActedOn(REF, "v1")}

    async def test_not_for_what_could_not_be_read(self) -> None:
        memory = in_memory("a", "b", secret=SecretPlace("vault", "flink/{connection}"))
        memory.sources["vault"].secrets["flink/b"] = ("v7", {"api_key": "good"})
        found = await of(memory)
        assert found.acted_on == {("prod", "b"): ActedOn(SecretRef("vault", "flink/b"), "v7")}

    async def test_also_where_the_secret_does_not_fit(self) -> None:
        memory = in_memory("a", mapping={"api-key": FieldOf("nothing")})
        assert (await of(memory)).acted_on == {("prod", "a"): ActedOn(REF, "v1")}

    async def test_not_for_leases(self) -> None:
        assert (await of(in_memory("a", secret=LEASED))).acted_on == {}


class TestGoneAndLeft:
    async def test_what_the_ledger_knows_and_a_listing_lacks(self) -> None:
        memory = in_memory("a", "hidden", matching=Matching(exclude=("left",)))
        target = memory.targets["prod"]
        target.add("left")
        target.unlisted = {"hidden"}
        for name in ("a", "hidden", "left", "gone"):
            await memory.ledger.write(verified(name))
        found = await of(memory)
        assert [c.connection.name for c in found.plan.changes] == ["a", "hidden"]
        assert found.gone == {("prod", "gone"): verified("gone")}
        assert found.left == {("prod", "left")}

    async def test_what_another_rotation_put_last_is_its_own(self) -> None:
        memory = in_memory("a")
        await memory.ledger.write(verified("b", rotation="other"))
        found = await of(memory)
        assert (found.gone, found.left) == ({}, frozenset())

    async def test_one_that_is_gone_for_long_is_neither(self) -> None:
        memory = in_memory("a")
        await memory.ledger.write(verified("b", gone_at=NOON))
        found = await of(memory)
        assert (found.gone, found.left) == ({}, frozenset())

    async def test_a_target_that_does_not_answer_has_lost_nothing(self) -> None:
        memory = in_memory("a", targets=("east", "west"))
        memory.targets["west"].trouble = DOWN
        for name in ("a", "b"):
            await memory.ledger.write(verified(name, "west"))
        found = await of(memory)
        assert (found.gone, found.left) == ({}, frozenset())


class TestLeased:
    async def leased(self, memory: Memory, **fields: Any) -> None:
        """Connection a lives on lease one, which is good for an hour."""
        made = HeldLease(
            id="one",
            ref=SecretRef("vault", LEASED.path, "database", holder="openai"),
            rotation="openai",
            run_id="run-1",
            state=LeaseState.LIVE,
            made_at=NOON,
            duration=3600,
            renewable=True,
            expires_at=NOON + timedelta(hours=1),
            mapping=memory.rules["openai"].mapping_digest,
        )
        await memory.ledger.keep_lease(replace(made, **fields))
        await memory.ledger.write(verified("a", secret_version="one"))

    async def reason(self, memory: Memory) -> str:
        change = (await changes(memory))["a"]
        assert change.update is (change.verdict is Verdict.CHANGED)
        assert change.credential is None
        return change.reason

    async def test_nothing_is_read_since_every_read_makes_a_credential(self) -> None:
        memory = in_memory("a", secret=LEASED)
        assert (await changes(memory))["a"].verdict is Verdict.NEW
        source = memory.sources["vault"]
        assert (source.read_paths, source.made) == ([], [])

    async def test_the_lease_on_record_decides(self) -> None:
        memory = in_memory("a", secret=LEASED)
        await self.leased(memory)
        assert await self.reason(memory) == "its lease is good for longer"
        memory.clock.at = 3000
        assert await self.reason(memory) == "its lease is about to end"

    async def test_a_lease_of_another_credential_counts_for_nothing(self) -> None:
        memory = in_memory("a", secret=LEASED)
        await self.leased(memory, ref=SecretRef("vault", "creds/old", "database", holder="openai"))
        assert await self.reason(memory) == "its rotation asks for another credential now"

    async def test_a_schedule_is_for_fresh_credentials(self) -> None:
        memory = in_memory("a", secret=LEASED)
        memory.scheduled_since = lambda name, since, _: name == "openai" and since == NOON
        await self.leased(memory)
        assert await self.reason(memory) == "its lease is from before the last scheduled time"

    async def test_it_dies_with_its_token(self) -> None:
        memory = in_memory("a", secret=LEASED)
        memory.sources["vault"].owner = Owner("token-1", 10, 10)
        await self.leased(memory, owner="token-1")
        memory.clock.at = 50
        assert await self.reason(memory) == "its lease is about to end"

    async def test_a_source_that_fails_leaves_the_ends_on_record(self) -> None:
        memory = in_memory("a", secret=LEASED)
        await self.leased(memory)
        memory.sources["vault"].trouble = SourceUnavailable("vault", "", "it is sealed")
        assert await self.reason(memory) == "its lease is good for longer"


async def test_each_source_is_asked_for_its_own_secrets() -> None:
    memory = in_memory("a")
    memory.sources["aws"] = MemorySource("aws", {PATH: ("v9", {"api_key": "good-9"})})
    memory.rules["openai"] = rule(secret=SecretPlace("aws", PATH))
    secret(memory, "bad", "v1")
    change = (await changes(memory))["a"]
    assert change.credential is not None
    assert change.credential.secret_version == "v9"
    assert memory.sources["vault"].read_paths == []

"""Looks between runs: at secrets without their values, and at connections as they are."""

from __future__ import annotations

import pytest

from rotator.errors import SecretMissing, SourceUnavailable, TargetError
from rotator.model.events import Listed
from rotator.model.rule import SecretPlace
from rotator.model.secret import Probe, SecretRef
from rotator.model.source import Finding
from rotator.rotation.probes import examine_leased, look, probe_secrets
from tests.unit.rotation.in_memory import DOWN, LEASED, PATH, in_memory, told

REF = SecretRef("vault", PATH)
TARGETS = ("east", "west")


class TestProbeSecrets:
    async def test_the_version_of_the_secret_of_each_connection(self) -> None:
        memory = in_memory("a", "b", targets=TARGETS)
        probes = await probe_secrets(memory.context, "openai")
        assert probes.wanted == dict.fromkeys([(t, n) for t in TARGETS for n in "ab"], REF)
        assert probes.found == {REF: Probe("v1")}
        assert memory.sources["vault"].read_paths == [], "no value is read"

    async def test_a_connection_whose_secret_has_no_name_is_left_out(self) -> None:
        memory = in_memory("openai", "..", secret=SecretPlace("vault", "flink/{connection}"))
        probes = await probe_secrets(memory.context, "openai")
        assert probes.wanted == {("prod", "openai"): REF}

    async def test_a_leased_credential_has_no_version_to_look_at(self) -> None:
        probes = await probe_secrets(in_memory("a", secret=LEASED).context, "openai")
        assert (probes.wanted, probes.found) == ({}, {})

    async def test_a_look_that_fails_decides_nothing(self) -> None:
        memory = in_memory("a", targets=TARGETS)
        memory.targets["west"].trouble = DOWN
        with pytest.raises(TargetError, match="target west: no answer"):
            await probe_secrets(memory.context, "openai")
        memory.targets["west"].trouble = None
        memory.sources["vault"].trouble = SourceUnavailable("vault", PATH, "it is sealed")
        with pytest.raises(SourceUnavailable):
            await probe_secrets(memory.context, "openai")
        memory.sources["vault"].trouble = None
        del memory.sources["vault"].secrets[PATH]
        with pytest.raises(SecretMissing):
            await probe_secrets(memory.context, "openai")


class TestExamineLeased:
    async def test_each_credential_that_is_to_be_made(self) -> None:
        memory = in_memory("a", "b", secret=LEASED)
        findings = await examine_leased(memory.context, "openai")
        assert findings == (Finding(f"read {LEASED.path}"),)
        assert memory.sources["vault"].made == []

    async def test_nothing_where_the_source_only_reads(self) -> None:
        assert await examine_leased(in_memory("a").context, "openai") == ()

    async def test_nothing_where_no_connection_wants_one(self) -> None:
        assert await examine_leased(in_memory(secret=LEASED).context, "openai") == ()


class TestLook:
    async def test_observers_are_told_what_is_there(self) -> None:
        memory = in_memory("a", targets=TARGETS)
        memory.targets["west"].trouble = DOWN
        await look(memory.context, "openai")
        (event,) = told(memory, Listed)
        assert event.targets == {"east"}
        assert len(event.connections) == 1

    async def test_no_target_no_look(self) -> None:
        memory = in_memory("a")
        memory.targets["prod"].trouble = DOWN
        with pytest.raises(TargetError):
            await look(memory.context, "openai")

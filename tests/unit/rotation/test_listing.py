"""What the targets of a rotation show: all of it, also what a shifting page left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.errors import CredentialInvalid, TargetError, TargetUnavailable
from rotator.model.events import Listed
from rotator.model.record import Record, Stage
from rotator.model.rule import Matching, SecretPlace
from rotator.model.secret import SecretRef
from rotator.rotation.listing import Listing, listed, secret_refs
from tests.support.memory import Memory
from tests.unit.rotation.in_memory import DOWN, in_memory, told
from tests.unit.rotation.values import NOON, record


def known(name: str, target: str = "prod") -> Record:
    return record(Stage.VERIFIED, name=name, target=target)


async def list_of(memory: Memory, *records: Record) -> Listing:
    by_target: dict[str, dict[str, Record]] = {}
    for each in records:
        by_target.setdefault(each.target, {})[each.connection] = each
    return await listed(memory.context, memory.rules["openai"], by_target)


def names(listing: Listing) -> list[str]:
    return [f"{each.target}/{each.name}" for each in listing.connections]


async def test_the_connections_that_the_rule_matches_in_all_its_targets() -> None:
    memory = in_memory("a", "b", targets=("east", "west"), matching=Matching(exclude=("b",)))
    listing = await list_of(memory)
    assert names(listing) == ["east/a", "west/a"]
    assert listing.keys == {("east", "a"), ("west", "a")}
    (event,) = told(memory, Listed)
    assert event == Listed("openai", frozenset({"east", "west"}), listing.connections)


async def test_connections_of_another_type_are_left_out() -> None:
    memory = in_memory("a", matching=Matching(type=("OPENAI",)))
    memory.targets["prod"].add("b", type="BEDROCK")
    assert names(await list_of(memory)) == ["prod/a"]


class TestWhatTheLedgerKnows:
    async def test_a_connection_that_stands_on_no_page_is_asked_for_by_name(self) -> None:
        memory = in_memory("a", "b")
        memory.targets["prod"].unlisted = {"b"}
        assert names(await list_of(memory)) == ["prod/a"], "nobody knows of it"
        listing = await list_of(memory, known("a"), known("b"))
        assert names(listing) == ["prod/a", "prod/b"]
        assert listing.gone == frozenset()

    async def test_one_that_does_not_exist_is_gone(self) -> None:
        listing = await list_of(in_memory("a"), known("a"), known("b"))
        assert names(listing) == ["prod/a"]
        assert listing.gone == {("prod", "b")}

    async def test_one_that_the_rule_left_is_neither_matched_nor_gone(self) -> None:
        """A listing of one type doesn't show it, but it exists."""
        memory = in_memory("a", matching=Matching(type=("OPENAI",)))
        memory.targets["prod"].add("b", type="BEDROCK")
        listing = await list_of(memory, known("a"), known("b"))
        assert names(listing) == ["prod/a"]
        assert listing.gone == frozenset()

    async def test_what_is_known_to_be_gone_is_not_gone_again(self) -> None:
        listing = await list_of(in_memory("a"), replace(known("b"), gone_at=NOON))
        assert listing.gone == frozenset()

    async def test_connections_of_other_rotations_are_none_of_its_business(self) -> None:
        listing = await list_of(in_memory("a"), replace(known("b"), rotation="azure"))
        assert listing.gone == frozenset()


class TestTargetsThatFail:
    async def test_one_that_cannot_be_listed_is_named_and_the_others_are_listed(self) -> None:
        memory = in_memory("a", targets=("east", "west"))
        memory.targets["west"].trouble = DOWN
        listing = await list_of(memory, known("a", "west"), known("b", "west"))
        assert names(listing) == ["east/a"]
        assert listing.failures == {"west": DOWN}
        assert listing.gone == frozenset(), "no answer says nothing of what exists"
        (event,) = told(memory, Listed)
        assert event.targets == {"east"}

    async def test_so_is_one_that_does_not_answer_who_exists(self) -> None:
        memory = in_memory("a", targets=("east", "west"))
        memory.targets["west"].look_faults = [DOWN]
        listing = await list_of(memory, known("b", "west"))
        assert names(listing) == ["east/a"]
        assert listing.failures == {"west": DOWN}

    async def test_where_none_answers_its_error_is_raised_and_nobody_is_told(self) -> None:
        memory = in_memory("a", targets=("east", "west"))
        first = TargetUnavailable("east", "no answer")
        memory.targets["east"].trouble, memory.targets["west"].trouble = first, DOWN
        with pytest.raises(TargetError) as raised:
            await list_of(memory)
        assert raised.value is first
        assert memory.events == []


async def test_the_secret_of_each_connection_or_why_it_has_none() -> None:
    memory = in_memory("a", "..", secret=SecretPlace("vault", "{environment}/{connection}"))
    listing = await list_of(memory)
    refs = secret_refs(memory.context, memory.rules["openai"], listing.connections)
    assert refs["prod", "a"] == SecretRef("vault", "env-1/a")
    refused = refs["prod", ".."]
    assert isinstance(refused, CredentialInvalid)
    assert "can't be part of the path" in str(refused)

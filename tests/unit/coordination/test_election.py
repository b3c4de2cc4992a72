"""Who leads, in thousands of simulated hours, and in the cases that matter most."""

from __future__ import annotations

from random import Random

import pytest

from tests.unit.coordination.simulation import Weather, World

DURATION = 15
TAKEOVER = DURATION + 2
"""Seconds: what is promised."""


def world(seed: int = 1, **weather: float) -> World:
    return World(Random(seed), Weather(**weather))  # noqa: S311 - a simulation


def led_at(world: World, moment: float) -> int | None:
    world.run(moment)
    return world.leaders[0] if world.leaders else None


def test_the_first_leads_once_no_holder_of_a_deleted_lease_can() -> None:
    clouds = world()
    clouds.add("a")
    assert led_at(clouds, DURATION * 2 / 3) is None
    assert led_at(clouds, DURATION * 2 / 3 + 1) == 0
    clouds.run(3600)
    assert clouds.leaders == [0]
    assert len(clouds.led) == 2, "it leads without a gap"


@pytest.mark.parametrize("seed", range(20))
def test_after_a_kill_another_takes_over_in_time(seed: int) -> None:
    clouds = world(seed)
    for name in "abc":
        clouds.add(name)
    clouds.run(60 + 10 * clouds.random.random())
    (leader,) = clouds.leaders
    clouds.nodes[leader].alive = False
    killed = clouds.now
    clouds.run(killed + TAKEOVER)
    assert clouds.leaders
    assert clouds.leaders != [leader]


def test_after_an_orderly_end_at_once() -> None:
    clouds = world()
    first, _ = clouds.add("a"), clouds.add("b", at=20)
    clouds.run(60)
    clouds.release(first)
    clouds.run(62)
    assert clouds.leaders == [1]


def test_a_leader_that_is_cut_off_stops_well_before_another_may_begin() -> None:
    clouds = world()
    first, _ = clouds.add("a"), clouds.add("b", at=20)
    clouds.run(60)
    first.cut_off = True
    clouds.run(60 + TAKEOVER)
    stopped = next(when for when, who in clouds.led if when > 60 and who is None)
    begun = next(when for when, who in clouds.led if when > stopped)
    assert stopped <= 60 + DURATION * 2 / 3
    assert begun - stopped > DURATION / 4
    first.cut_off = False
    clouds.run(200)
    assert clouds.leaders == [1], "it follows now"


def test_a_short_loss_of_the_api_server_deposes_nobody() -> None:
    clouds = world()
    first, second = clouds.add("a"), clouds.add("b", at=20)
    clouds.run(60)
    first.cut_off = second.cut_off = True
    clouds.run(64)
    first.cut_off = second.cut_off = False
    clouds.run(120)
    assert clouds.led_by(20) == {0}


def test_a_long_one_deposes_and_its_return_restores() -> None:
    clouds = world()
    first, second = clouds.add("a"), clouds.add("b", at=20)
    clouds.run(60)
    first.cut_off = second.cut_off = True
    clouds.run(3600)
    assert clouds.leaders == []
    first.cut_off = second.cut_off = False
    clouds.run(3610)
    assert clouds.leaders, "nobody took it in between, so nobody has to wait"


def test_one_that_was_stopped_for_longer_than_the_lease_does_not_lead_when_it_goes_on() -> None:
    clouds = world()
    first, _ = clouds.add("a"), clouds.add("b", at=20)
    clouds.run(60)
    first.paused_until = 100
    clouds.run(99.999)
    assert clouds.leaders == [1]
    clouds.run(200)
    assert clouds.leaders == [1]


def test_a_lease_that_is_deleted_is_created_again_and_never_held_twice() -> None:
    clouds = world()
    clouds.add("a")
    clouds.add("b", at=20)
    clouds.run(60)
    clouds.nodes[0].cut_off = True
    clouds.store.delete()
    clouds.run(60 + TAKEOVER)
    assert clouds.leaders == [1]


def test_other_metadata_disturbs_nobody() -> None:
    clouds = world()
    clouds.add("a")
    clouds.add("b", at=20)
    for second in range(30, 300, 7):
        clouds.at(second, clouds.store.touch)
    clouds.run(300)
    assert clouds.led_by(20) == {0}


def test_nor_does_it_keep_a_dead_leader_alive() -> None:
    clouds = world()
    first, _ = clouds.add("a"), clouds.add("b", at=20)
    for second in range(60, 90):
        clouds.at(second, clouds.store.touch)
    clouds.run(60)
    first.alive = False
    clouds.run(60 + TAKEOVER)
    assert clouds.leaders == [1]


def test_a_state_of_long_ago_restores_no_authority() -> None:
    """As a restored backup of the API server's store does."""
    clouds = world()
    first, _ = clouds.add("a"), clouds.add("b", at=20)
    clouds.run(60)
    backup = clouds.store.lease
    first.paused_until = 90
    clouds.run(120)
    assert clouds.leaders == [1]
    clouds.store.lease = backup
    clouds.run(120 + 2 * TAKEOVER)
    assert len(clouds.leaders) == 1


def test_two_processes_of_one_name_are_two() -> None:
    clouds = world()
    clouds.add("a")
    clouds.add("a")
    clouds.run(3600)
    assert len(clouds.leaders) == 1


@pytest.mark.parametrize("seed", range(150))
def test_never_two_whatever_happens(seed: int) -> None:
    """Twenty minutes of bad weather, and then one leads."""
    clouds = world(seed, lost_request=0.1, lost_answer=0.1, late=0.15, way=0.3)
    chance = clouds.random
    for index in range(chance.randint(2, 4)):
        clouds.add(f"rotator-{index % 3}", at=chance.uniform(0, 30))

    def trouble() -> None:
        node = chance.choice(clouds.nodes)
        what = chance.randrange(6)
        if what == 0:
            node.paused_until = clouds.now + chance.uniform(0, 60)
        elif what == 1:
            node.cut_off = True
        elif what == 2:
            for each in clouds.nodes:
                each.cut_off = False
        elif what == 3:
            clouds.store.delete()
        elif what == 4:
            clouds.store.touch()
        elif sum(each.alive for each in clouds.nodes) > 1:
            if chance.random() < 0.5:
                node.alive = False
            else:
                clouds.release(node)
            clouds.add(f"rotator-{chance.randrange(3)}", at=clouds.now + 1)

    for _ in range(60):
        clouds.at(chance.uniform(5, 1200), trouble)
    clouds.run(1200)
    for node in clouds.nodes:
        node.cut_off = False
    clouds.weather = Weather()
    clouds.run(1200 + 60 + 3 * TAKEOVER)
    assert len(clouds.leaders) == 1
    assert {who for _, who in clouds.led} - {None}, "somebody led at all"

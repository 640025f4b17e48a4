"""The fault harness: what a seed draws, and the oracle's own hash."""

from __future__ import annotations

from chaos import oracle, scenario
from chaos.scenario import ACTIONS, Scenario, draw
from tests.integration.test_chaos import SEEDS


def actions(scenarios: list[Scenario]) -> set[str]:
    return {fault.action for one in scenarios for episode in one.episodes for fault in episode.faults}


def test_a_seed_draws_the_same_again() -> None:
    assert [draw(seed, True) for seed in range(50)] == [draw(seed, True) for seed in range(50)]


def test_the_fixed_seeds_draw_every_kind_of_fault() -> None:
    scenarios = [draw(seed, True) for seed in SEEDS]
    episodes = [episode for one in scenarios for episode in one.episodes]

    assert actions(scenarios) == ACTIONS
    assert {episode.twice for episode in episodes} == {"", *scenario.STAGES}
    assert {episode.rival for episode in episodes} == {False, True}
    assert {one.numbers for one in scenarios} == {one.apart for one in scenarios} == {False, True}


def test_without_a_disk_that_can_be_filled_none_is() -> None:
    assert actions([draw(seed, False) for seed in range(200)]) == ACTIONS - {"disk full"}


def test_the_hash_of_the_oracle() -> None:
    # SELECT md5('[1, "text", "amount"]' || ROW('a, "b" \', 7)::text)::uuid
    assert oracle.input_hash(["text", "amount"], ('a, "b" \\', 7)) == "5c726675-71aa-ba34-1dd6-c65f3952b28b"

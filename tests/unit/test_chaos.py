"""The fault harness: what a seed draws, and the oracle's own hash."""

from __future__ import annotations

from chaos import oracle, scenario, table
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


def test_the_fixed_seeds_draw_everything_that_happens_between_runs() -> None:
    scenarios = [draw(seed, True) for seed in SEEDS]
    episodes = [episode for one in scenarios for episode in one.episodes]

    assert {one.shape for one in scenarios} == set(table.SHAPES)
    assert {one.amount for one in scenarios} == {"bigint", "double precision"}
    assert {episode.ahead for episode in episodes} == {"0", "20 minutes", "3 years"}
    assert {episode.champion for episode in episodes} == {None, 1, 2}
    assert {episode.ending for episode in episodes} == {"", "release", "discard"}
    assert {name for episode in episodes for name in episode.differs} == {"where", "on_new_version"}
    assert {name for episode in episodes for name in episode.request} == {"row_limit", "mode", "model"}


def test_a_job_that_differs_for_one_run() -> None:
    differing = [(one.job, episode) for one in map(draw, range(50), [True] * 50) for episode in one.episodes]

    for job, episode in differing:
        changed = episode.job(job)
        now = {"where": changed["source"]["where"], "on_new_version": changed["model"]["on_new_version"]}
        before = {"where": job["source"]["where"], "on_new_version": job["model"]["on_new_version"]}
        assert {name for name in now if now[name] != before[name]} == set(episode.differs)


def test_each_shape_is_written_anew_in_each_way_that_it_has() -> None:
    drawn = {
        (one.shape, fault.action)
        for one in (draw(seed, True) for seed in range(200))
        for episode in one.episodes
        for fault in episode.faults
        if fault.action in table.REBUILDS
    }
    assert drawn == {(shape, how) for shape in table.SHAPES for how in table.rebuilds(shape)}


def test_without_a_disk_that_can_be_filled_none_is() -> None:
    assert actions([draw(seed, False) for seed in range(200)]) == ACTIONS - {"disk full"}


def test_the_hash_of_the_oracle() -> None:
    # SELECT md5('[1, "text", "amount"]' || ROW('a, "b" \', 7)::text)::uuid
    assert oracle.input_hash(["text", "amount"], ('a, "b" \\', 7)) == "5c726675-71aa-ba34-1dd6-c65f3952b28b"

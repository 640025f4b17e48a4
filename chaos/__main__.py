"""`make chaos`: one line a seed, then how many passed; exit code 1 if one failed.

SEEDS            how many, from 1 on (20); those that have passed on this code are not run again
SEED             this one alone, or these, in any case
MUTANTS          run the check of the harness: each mutant must be killed within a hundred seeds; or their names
CHAOS_MUTANT     the mutant that the pipeline's processes are made into (set by the check)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from multiprocessing import get_context

from chaos import scenario
from chaos.ledger import STATE, Ledger
from chaos.mutants import MUTANTS
from chaos.scenario import ALTERATIONS, BOUNDARIES, POINTS
from chaos.server import Server
from chaos.table import REBUILDS
from chaos.trial import Trial

MUTANT_SEEDS = 100
HARNESS = "FAILED: the harness itself"
MOST = 10  # violations to show
ENOUGH, MANY = 8, 20  # seeds, among which every point is reached, and everything is done to the company's table


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server and its disk are removed
    get_context("forkserver").set_forkserver_preload(["chaos.orchestrator", "chaos.shard", "chaos.company"])
    mutant = os.environ.get("CHAOS_MUTANT", "")
    if os.environ.get("MUTANTS") and not mutant:
        return check_mutants()
    one = os.environ.get("SEED")
    seeds = [int(seed) for seed in one.split()] if one else list(range(1, int(os.environ.get("SEEDS") or 20) + 1))
    return run(seeds, mutant, bool(one))


def run(seeds: list[int], mutant: str, again: bool) -> int:
    ledger, failed, started = Ledger(mutant), 0, time.monotonic()
    ran, never = 0, {*POINTS, *BOUNDARIES, "commit:page", "commit:advance", "registry"}
    never |= {*REBUILDS, *ALTERATIONS} if len(seeds) >= MANY else set()
    with Server() as server:
        for seed in seeds:
            if str(seed) in ledger.passed and not again:
                print(ledger.passed[str(seed)], "(before)", flush=True)
                continue
            drawn = scenario.draw(seed, server.disk)
            ran += 1
            trial = Trial(server, drawn, STATE / f"seed-{seed}{mutant and '-' + mutant}", mutant)
            try:
                verdict = trial.run()
            except Exception:
                failed += 1
                print(f"seed {seed}: {HARNESS}: {traceback.format_exc()}", flush=True)
                continue
            print(verdict, flush=True)
            never -= verdict.points.keys()
            if verdict.violations:
                failed += 1
                for violation in verdict.violations[:MOST]:
                    print(f"    {violation}", flush=True)
                if mutant:
                    break
            else:
                ledger.note(seed, str(verdict))
    blind = ran >= ENOUGH and bool(never)
    if blind:
        print(f"points that no seed reached, or nothing that was done: {', '.join(sorted(never))}", flush=True)
    print(f"in {time.monotonic() - started:.0f} s; logs are in {STATE}", file=sys.stderr, flush=True)
    print(f"{len(seeds)} seeds, {len(seeds) - failed} passed, {failed} failed", flush=True)
    return 1 if failed or blind else 0


def check_mutants() -> int:
    """Each mutant must make a seed fail; says which one killed it."""
    survivors = []
    STATE.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in os.environ["MUTANTS"].split() if name in MUTANTS] or list(MUTANTS)
    for name in wanted:
        environment = {**os.environ, "CHAOS_MUTANT": name, "SEEDS": str(MUTANT_SEEDS)}
        environment.pop("SEED", None)
        output = STATE / f"mutant-{name}.txt"
        with output.open("w") as file:
            subprocess.run([sys.executable, "-m", "chaos"], env=environment, check=False, stdout=file, stderr=file)
        failed = [line for line in output.read_text().splitlines() if "FAILED" in line]
        killer = next((line for line in failed if HARNESS not in line), "")
        print(f"mutant {name}: " + (f"killed by {killer}" if killer else f"SURVIVED {MUTANT_SEEDS} seeds"), flush=True)
        survivors += [] if killer else [name]
    print(f"{len(wanted)} mutants, {len(wanted) - len(survivors)} killed", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

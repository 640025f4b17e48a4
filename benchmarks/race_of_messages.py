"""Figures 1, 2, 5 and 13: messages, where the model is the limit."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks import ceiling, ours, pandas_peer, race, ray_peer, settings, spark_peer
from benchmarks.machine import Machine
from benchmarks.messages import MESSAGES
from benchmarks.model import load
from benchmarks.race import Entry
from benchmarks.racer import Racer
from benchmarks.verdict import Measured

FIGURES = {1, 2, 5, 13}
ROWS, QUICK_ROWS, SAMPLE = 4096, 1024, 1024
BATCHES = [{"batch": batch} for batch in (16, 32, 64, 128)]
CORES = os.cpu_count() or 1
RAY = [{"batch": batch, "actors": n, "threads": CORES // n} for batch in (16, 32, 64) for n in {1, CORES}]


def measure(machine: Machine) -> Iterator[Measured]:
    rows = QUICK_ROWS if machine.quick else ROWS
    alone = Racer("ceiling, one process", ceiling.alone, MESSAGES, load)
    together = Racer("ceiling, a process for each processor", ceiling.together, MESSAGES, ceiling.start)
    arrival = Racer("pandas in arrival order", pandas_peer.run, MESSAGES, load)
    chunks = Racer("pandas sorted in chunks", pandas_peer.run, MESSAGES, load, ordered=True)
    ray = Racer("Ray Data", ray_peer.run, MESSAGES, ray_peer.prepare)
    by_length = Racer("Ray Data, read by length", ray_peer.run, MESSAGES, ray_peer.prepare, ordered=True)
    threads = Racer("ours, 1 shard with a thread for each processor", ours.run, MESSAGES, shards=1, threads=CORES)
    judged = [alone, together, arrival, chunks, ray]
    grids = {alone: BATCHES, together: BATCHES, arrival: BATCHES, chunks: BATCHES, ray: RAY}
    told = {} if machine.quick else {by_length: RAY}
    if not machine.quick and not spark_peer.missing():
        told[Racer("Spark, sorted in partitions", spark_peer.run, MESSAGES, spark_peer.prepare, ordered=True)] = BATCHES
    peers = [*judged, *told]
    grids.update(told)
    for racer in peers:
        settings.choose(machine, racer, MESSAGES, SAMPLE, grids[racer])
    mine = Racer("ours", ours.run, MESSAGES)
    entries = [Entry(mine, True), *([] if machine.quick else [Entry(threads, True)]), *map(Entry, peers)]
    try:
        laps = race.run(machine, MESSAGES, rows, entries)
        contestants = race.told(laps, entries, rows)
    finally:
        for entry in entries:
            entry.racer.close()
    seconds = {name: lap.seconds for name, lap in laps.items()}
    best = min((alone.name, together.name), key=lambda name: seconds[name])
    detail = {"rows": rows, "contestants": contestants, "ceiling": best}
    yield Measured("text: ours / ceiling", seconds[best] / seconds["ours"], detail)
    for racer in (arrival, chunks, ray):
        yield Measured(f"text: ours / {racer.name}", seconds[racer.name] / seconds["ours"], {"rows": rows})
    if machine.quick:
        return
    ratio = seconds[threads.name] / seconds["ours"]
    memory = {"memory_mib": {name: contestants[name]["memory_mib"] for name in (mine.name, threads.name)}}
    yield Measured("text: 2 shards with 1 thread / 1 shard with 2 threads", ratio, {"rows": rows, **memory})

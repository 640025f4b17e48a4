"""The pictures of results.json: how fast everybody is, what grows with the rows, where time goes, sizes of batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("plots")
RACES = {"text": "text: ours / ceiling", "tabular": "tabular, hash: ours / pandas chunked"}
AUTOMATIC = "automatic batch / best fixed: "  # of figure 12, which text and tabular follow
OURS, PEER = "#1f5fa8", "#b8bcc4"
STAGES = {"plan": "#7aa6d6", "predict": "#1f5fa8", "check": "#9aa0a8", "publish": "#e0a030"}


def contestants(results: Iterable[Mapping[str, Any]], race: str) -> dict[str, Any]:
    """Of a race, by name; none if it has not been run."""
    details = {entry["name"]: entry["detail"] for entry in results}
    found: dict[str, Any] = details.get(RACES[race], {}).get("contestants", {})
    return found


def draw(results: list[dict[str, Any]]) -> None:
    """Draw what the results hold; a race that they do not hold keeps its pictures."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "benchmarks", "font.size": 9, "axes.spines.top": False,
                                "axes.spines.right": False})  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    races = {race: contestants(results, race) for race in RACES}
    for race, found in races.items():
        if found:
            _throughput(race, found)
    if any(races.values()):
        _stages(races)
    growing = {entry["name"]: entry["detail"] for entry in results}.get(RACES["tabular"], {}).get("growing")
    if growing:
        _growth({**growing, str(_rows(results)): races["tabular"]})
    sizes = {entry["name"].removeprefix(AUTOMATIC): entry["detail"] for entry in results if AUTOMATIC in entry["name"]}
    if sizes:
        _batches(sizes)


def _rows(results: list[dict[str, Any]]) -> int:
    return int(next(entry["detail"]["rows"] for entry in results if entry["name"] == RACES["tabular"]))


def _throughput(race: str, found: Mapping[str, Any]) -> None:
    figure, axes = _figure(7, 0.4 * len(found) + 0.8)
    names = sorted(found, key=lambda name: found[name]["rows_per_second"])
    values = [found[name]["rows_per_second"] for name in names]
    bars = axes.barh(names, values, color=[OURS if name.startswith("ours") else PEER for name in names])
    axes.bar_label(bars, [f"{value:,}" for value in values], padding=3)
    axes.set_xlabel(f"{race}: rows per second")
    _save(figure, f"throughput-{race}")


def _stages(races: Mapping[str, Mapping[str, Any]]) -> None:
    runs = {
        f"{race}: {name}": one["stages"]
        for race, found in races.items()
        for name, one in found.items()
        if one["stages"]
    }
    figure, axes = _figure(7, 0.4 * len(runs) + 1)
    left = [0.0] * len(runs)
    for stage, color in STAGES.items():
        shares = [stages[stage] / sum(stages.values()) for stages in runs.values()]
        axes.barh(list(runs), shares, left=left, color=color, label=stage)
        left = [sum(pair) for pair in zip(left, shares)]
    axes.set_xlabel("share of the time from plan to publish")
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    _save(figure, "stages")


def _growth(growing: Mapping[str, Mapping[str, Any]]) -> None:
    figure, (seconds, memory) = _figure(8, 3.2, columns=2)
    sizes = sorted(growing, key=int)
    for name in growing[sizes[0]]:
        style = {"color": OURS, "linewidth": 2.5} if name == "ours" else {}
        rows = [int(size) for size in sizes]
        seconds.plot(rows, [growing[size][name]["seconds"] for size in sizes], marker="o", label=name, **style)
        memory.plot(rows, [growing[size][name]["memory_mib"] for size in sizes], marker="o", label=name, **style)
    for axes, title in ((seconds, "seconds"), (memory, "MiB at the peak, all processes")):
        axes.set_xscale("log")
        axes.set_xlabel("rows")
        axes.set_title(title)
    seconds.set_yscale("log")
    memory.set_ylim(bottom=0)
    seconds.legend(frameon=False)
    _save(figure, "growth")


def _batches(found: Mapping[str, Mapping[str, Any]]) -> None:
    figure, columns = _figure(8, 3.2, columns=len(found))
    for axes, (race, detail) in zip(columns, found.items()):
        seconds = detail["seconds of predict"]
        sizes = sorted(seconds["grid"], key=int)
        speeds = [detail["rows"] / seconds["grid"][size] for size in sizes]
        axes.plot([int(size) for size in sizes], speeds, marker="o", color=PEER, label="fixed")
        axes.axhline(detail["rows"] / seconds["automatic"], color=OURS, label="automatic")
        axes.set_xscale("log", base=2)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("sizes.batch_rows")
        axes.set_title(f"{race}: rows per second of predict")
        axes.legend(frameon=False)
    _save(figure, "batches")


def _figure(width: float, height: float, columns: int = 1) -> Any:
    from matplotlib import pyplot

    return pyplot.subplots(1, columns, figsize=(width, height))


def _save(figure: Any, name: str) -> None:
    from matplotlib import pyplot

    figure.savefig(FOLDER / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)

"""The tables of benchmarks/README.md, between its marks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.plots import RACES, contestants

FILE = Path(__file__).with_name("README.md")
WORDS = {True: "yes", False: "**no**", None: ""}


def write(results: list[dict[str, Any]]) -> None:
    text = FILE.read_text(encoding="utf-8")
    text = _between(text, "figures", _figures(results))
    for race in RACES:
        found = contestants(results, race)
        if found:
            text = _between(text, race, _contestants(found))
    FILE.write_text(text, encoding="utf-8")


def _between(text: str, name: str, table: str) -> str:
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    return re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL)


def _figures(results: list[dict[str, Any]]) -> str:
    lines = ["| # | figure | measured | bar | reach for | met |", "|---|---|---|---|---|---|"]
    for one in results:
        sign = "<=" if one["detail"]["better"] == "lower" else ">="
        value, reach = ("" if number is None else f"{number:.3g}" for number in (one["value"], one["detail"]["reach"]))
        lines.append(
            f"| {one['figure']} | {one['name']} | {value} | {sign} {one['bar']} | {reach} | {WORDS[one['ok']]} |"
        )
    return "\n".join(lines)


def _contestants(found: Mapping[str, Any]) -> str:
    lines = [
        "| contestant | rows/s | seconds | start-up, s | memory, MiB | settings |", "|---|---|---|---|---|---|"
    ]  # fmt: skip
    for name, one in sorted(found.items(), key=lambda item: item[1]["seconds"]):
        settings = ", ".join(f"{key} {value}" for key, value in one["settings"].items() if not isinstance(value, dict))
        lines.append(
            f"| {name} | {one['rows_per_second']:,} | {one['seconds']:.2f} | {one['start_up']:.1f} | "
            f"{one['memory_mib']:,} | {settings} |"
        )
    return "\n".join(lines)

"""What a benchmark found: one JSON file, one page of tables, one plot a study."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from df_policy.commands.plots import curve, rates
from df_policy.commands.results import Figures, conditions_of, interval_of, rate_of, read
from df_policy.commands.studies import Point, Study
from df_policy.evaluate import compare
from df_policy.files import write_text

if TYPE_CHECKING:
    from df_policy.commands.benchmark import Benchmark


SHOWN = ("successes", "episodes", "wilson95", "failures", "plan_latency_ms", "seeds", "solved")


@dataclass(frozen=True)
class Row:
    """One line of a study's table."""

    label: str
    number: float | None
    """Where it stands on the study's axis, if that has numbers."""
    figures: Figures


def write(benchmark: Benchmark, studies: Sequence[Study]) -> list[Path]:
    """Write all that the finished studies show; the files, in order."""
    done = {
        study: _rows(benchmark, study)
        for study in studies
        if all(benchmark.is_evaluated(point) for point in study.points)
    }
    written = []
    for study, rows in done.items():
        path = benchmark.out / f"{study.name}.png"
        _plot(study, rows, path)
        written.append(path)
    page, data = benchmark.out / "benchmark.md", benchmark.out / "benchmark.json"
    write_text(page, _page(benchmark, done))
    write_text(data, json.dumps(_data(benchmark, done), indent=2) + "\n")
    return [*written, page, data]


def _rows(benchmark: Benchmark, study: Study) -> list[Row]:
    rows = []
    for point in study.points:
        held = read(benchmark.figures(point))
        number = _number(study, point, held["trained"].get("minutes"))
        conditions = conditions_of(held)
        for condition, figures in conditions.items():
            label = condition if len(conditions) > 1 else point.label
            rows.append(Row(label if number is None else f"{number:g}", number, figures))
    return rows


def _number(study: Study, point: Point, minutes: float | None) -> float | None:
    if not study.axis:
        return None
    return minutes if study.number == "minutes" else float(point.label)


def _plot(study: Study, rows: Sequence[Row], path: Path) -> None:
    if study.axis:
        points = {row.number: row.figures for row in rows if row.number is not None}
        curve(points, study.axis, study.about, path, log=study.log)
    else:
        rates({row.label: row.figures for row in rows}, study.about, path)


def _page(benchmark: Benchmark, done: dict[Study, list[Row]]) -> str:
    last = benchmark.seed + benchmark.episodes - 1
    lines = [
        f"# Benchmark {benchmark.task}",
        "",
        f"{benchmark.episodes} episodes each, seeds {benchmark.seed} to {last}, judged once, at "
        "the end. The interval is Wilson's, 95 %. p is that of McNemar's exact test against the "
        "first row, seed by seed.",
    ]
    for study, rows in done.items():
        first = study.axis or "what"
        lines += ["", f"## {study.name}", "", study.about, "", f"![]({study.name}.png)", ""]
        lines += [
            f"| {first} | solved | interval | p | failed most often |",
            "|---|---|---|---|---|",
        ]
        for row in rows:
            alone = row is rows[0]
            p = "" if alone else f"{compare(rows[0].figures, row.figures).p_value:.2g}"
            worst = next((f"{n} {why}" for why, n in row.figures["failures"].items()), "")
            cells = (row.label, rate_of(row.figures), interval_of(row.figures), p, worst)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _data(benchmark: Benchmark, done: dict[Study, list[Row]]) -> dict[str, object]:
    studies = {
        study.name: {
            "about": study.about,
            "axis": study.axis,
            "rows": [
                {"label": row.label, "number": row.number}
                | {name: row.figures[name] for name in SHOWN}
                for row in rows
            ],
        }
        for study, rows in done.items()
    }
    return {
        "task": benchmark.task,
        "first_seed": benchmark.seed,
        "episodes": benchmark.episodes,
        "studies": studies,
    }

"""What a benchmark found: one JSON file, one page of tables, one plot a study."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from df_policy.commands.plots import curve, rates
from df_policy.commands.results import CLEAN, Figures, conditions_of, interval_of, rate_of, read
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
    condition: str = CLEAN


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
            label = point.label if number is None else f"{number:g}"
            if len(conditions) > 1:
                label = f"{label}, {condition}" if len(study.points) > 1 else condition
            rows.append(Row(label, number, figures, condition))
    return rows


def _rival(rows: Sequence[Row], row: Row) -> Row:
    """What a row is compared with: the first one of its condition, or of all."""
    first = next(other for other in rows if other.condition == row.condition)
    return rows[0] if first is row else first


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
        "the end. The interval is Wilson's, 95 %. p is that of McNemar's exact test, seed by "
        "seed, against the first row of the same condition; for that row, against the first.",
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
            p = "" if alone else f"{compare(_rival(rows, row).figures, row.figures).p_value:.2g}"
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

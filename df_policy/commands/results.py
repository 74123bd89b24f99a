"""The figures of an evaluation: kept in one JSON file, shown as tables, read back to compare."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from df_policy.errors import DfPolicyError
from df_policy.evaluate import compare, summary
from df_policy.files import write_text

if TYPE_CHECKING:
    from df_policy.commands.playing import Played
    from df_policy.policy import Policy

CLEAN = "clean"
Figures = Mapping[str, Any]

SAME = (
    "weights",
    "task",
    "suite",
    "first_seed",
    "episodes",
    "sampler",
    "costs",
    "device",
    "precision",
)
"""What must agree for a suite to be continued."""


class Results:
    """What is finished, condition by condition, stored whenever one more is."""

    def __init__(self, path: Path | None, head: dict[str, Any], done: dict[str, Figures]) -> None:
        """Writes nothing yet.

        Args:
            path: the JSON file, if any.
            head: what all conditions share.
            done: condition -> figures.
        """
        self._path, self._head, self.done = path, head, done

    @classmethod
    def begin(cls, options: argparse.Namespace, policy: Policy) -> Results:
        """New results; those of a suite go on from its file.

        Raises:
            DfPolicyError: if that file holds anything else.
        """
        head = _head(options, policy)
        path: Path | None = options.json
        if path is not None and options.suite is None and path.is_file():
            _keep_suite(path)
        done = _finished(path, head) if path is not None and options.suite is not None else {}
        return cls(path, head, done)

    def finish(self, condition: str, played: Sequence[Played]) -> None:
        """All episodes of a condition were played."""
        acted = Counter(name for one in played for name in one.since_s)
        since_s = {str(one.result.seed): one.since_s for one in played if one.since_s}
        more = {"condition": condition, "acted": dict(acted), "since_s": since_s}
        self.done[condition] = summary([one.result for one in played]) | more
        if self._path is not None:
            whole = {"conditions": self.done} if self._head["suite"] else self.done[condition]
            write_text(self._path, json.dumps({**self._head, **whole}, indent=2) + "\n")

    def table(self, name: str, conditions: Sequence[str]) -> Any:
        """The figures as a person reads them."""
        shown = {condition: self.done[condition] for condition in conditions}
        return many(name, shown) if self._head["suite"] else single(name, shown[conditions[0]])


def _keep_suite(path: Path) -> None:
    """Raises DfPolicyError if the file holds a suite, which one condition would overwrite."""
    try:
        held = json.loads(path.read_text())
    except ValueError:
        return
    if isinstance(held, dict) and "conditions" in held:
        raise DfPolicyError(
            f"{path} holds a suite, which took long: choose another --json, or delete it"
        )


def fingerprint(checkpoint_name: str) -> str:
    """What tells the weights of a checkpoint from all others."""
    from df_policy import checkpoint

    weights = (checkpoint.find(checkpoint_name) / checkpoint.WEIGHTS).read_bytes()
    return hashlib.sha256(weights).hexdigest()[:16]


def _head(options: argparse.Namespace, policy: Policy) -> dict[str, Any]:
    from df_policy.commands.playing import task_of
    from df_policy.config import to_json
    from df_policy.provenance import versions

    return {
        "checkpoint": options.checkpoint,
        "task": task_of(options, policy),
        "weights": fingerprint(options.checkpoint),
        "suite": options.suite,
        "first_seed": options.seed,
        "episodes": options.episodes,
        "sampler": dataclasses.asdict(policy.sampler),
        "costs": json.loads(options.costs or "[]"),
        "trained": policy.about,
        "config": to_json(policy.config) | {"sampler": dataclasses.asdict(policy.sampler)},
        "device": options.device,
        "precision": str(policy.precision).removeprefix("torch."),
        "versions": versions(),
    }


def _finished(path: Path, head: Mapping[str, Any]) -> dict[str, Figures]:
    if not path.exists():
        return {}
    held = {"costs": [], **read(path)}
    wanted = json.loads(json.dumps(head))
    other = [f"{name} {held.get(name)}" for name in SAME if held.get(name) != wanted[name]]
    if other:
        raise DfPolicyError(
            f"expected {path} to hold this very suite, or nothing, got one with "
            f"{', '.join(other)}: choose another --json, or remove it"
        )
    return conditions_of(held)


def read(path: Path) -> dict[str, Any]:
    """What `evaluate` wrote.

    Raises:
        DfPolicyError: if it is no such file.
    """
    try:
        held: dict[str, Any] = json.loads(path.read_text())
        if not all(one.keys() >= {"seeds", "solved"} for one in conditions_of(held).values()):
            raise ValueError("no list of seeds")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DfPolicyError(
            f"expected the --json file of an evaluation, got {path} ({error})"
        ) from error
    return held


def conditions_of(held: Mapping[str, Any]) -> dict[str, Figures]:
    """Condition -> figures, whether one was played or a suite."""
    return dict(held["conditions"]) if held.get("conditions") else {_condition(held): held}


def _condition(held: Mapping[str, Any]) -> str:
    return str(held.get("condition", CLEAN))


def rate_of(figures: Figures) -> str:
    """Solved, of how many."""
    share = 100 * figures["successes"] / figures["episodes"]
    return f"{figures['successes']} of {figures['episodes']} ({share:.0f} %)"


def interval_of(figures: Figures) -> str:
    """The rate's interval in per cent."""
    low, high = figures["wilson95"]
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def single(name: str, figures: Figures) -> Any:
    """One condition in full."""
    from rich.table import Table

    condition = _condition(figures)
    shown = Table(title=name if condition == CLEAN else f"{name}, {condition}", show_header=False)
    shown.add_row("solved", rate_of(figures))
    shown.add_row("95 % Wilson interval", interval_of(figures))
    for reason, count in figures["failures"].items():
        shown.add_row(f"  failed: {reason}", str(count))
    for disturbance, count in figures["acted"].items():
        shown.add_row(f"  met {disturbance}", f"{count} of {figures['episodes']}")
    latency = figures["plan_latency_ms"]
    shown.add_row("planning p50 / p99", f"{latency['p50']:.1f} / {latency['p99']:.1f} ms")
    return shown


def many(name: str, conditions: Mapping[str, Figures]) -> Any:
    """A suite, a line each in 80 columns; what failed and why stands in the JSON file."""
    from rich.table import Table

    shown = Table(title=name)
    for column in ("condition", "solved", "95 % Wilson", "p", "met"):
        shown.add_column(column)
    shown.caption = "p: McNemar's exact test against clean. met: episodes in which it happened."
    for condition, figures in conditions.items():
        paired = "" if condition == CLEAN else f"{compare(conditions[CLEAN], figures).p_value:.2g}"
        met = ", ".join(str(count) for count in figures["acted"].values())
        solved = f"{figures['successes']} of {figures['episodes']}"
        shown.add_row(condition, solved, interval_of(figures), paired, met)
    return shown

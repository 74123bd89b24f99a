"""How regular, how fresh and how smooth a stream of targets was: figures from a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64

from df_policy.ros_nodes.stages import STAGES

Points = Float64[np.ndarray, "n 3"]
Times = Float64[np.ndarray, "n"]
PlanTimes = Float64[np.ndarray, "plans"]
StoodStill = Callable[[float, float], float]
"""How many of the seconds between two times the machine itself stood still."""
Sizes = dict[str, Float64[np.ndarray, "_"]]
"""Of each kind as many as there are."""


def unwatched(_first_s: float, _last_s: float) -> float:
    """Nobody watched the machine."""
    return 0.0


def spread(values: Float64[np.ndarray, "n"]) -> dict[str, float]:
    """Median, 99th percentile and worst; NaN of none."""
    if len(values) == 0:
        return dict.fromkeys(("p50", "p99", "worst"), float("nan"))
    p50, p99, worst = np.percentile(values, [50, 99, 100])
    return {"p50": float(p50), "p99": float(p99), "worst": float(worst)}


def ticks(stamps_s: Times, rate_hz: float, stood_still: StoodStill = unwatched) -> dict[str, Any]:
    """Jitter [ms] and missed ticks of one stretch of targets.

    Args:
        stamps_s: when each was sent.
        rate_hz: how many there should be in a second.
        stood_still: which ticks to blame on the machine: where it did for half of the delay.
    """
    gaps = np.diff(stamps_s) * rate_hz
    missed = np.maximum(np.round(gaps) - 1, 0).astype(int)
    excused = [
        missed[n]
        for n in np.flatnonzero(missed)
        if stood_still(stamps_s[n], stamps_s[n + 1]) > 0.5 * (gaps[n] - 1.0) / rate_hz
    ]
    return {
        "targets": len(stamps_s),
        "missed": int(missed.sum()),
        "missed_by_machine": int(sum(excused)),
        "jitter_ms": 1e3 / rate_hz * np.abs(gaps - 1.0),
    }


def ages(stamps_s: Times, began_s: PlanTimes, seen_s: PlanTimes) -> Float64[np.ndarray, "m"]:
    """Age [ms] of the oldest image behind each target, from the first plan on.

    Args:
        stamps_s: when each target was sent.
        began_s: when the first target of each plan was.
        seen_s: stamp of the oldest image that the plan was made of.
    """
    plan = np.searchsorted(began_s, stamps_s + 1e-6, side="right") - 1
    follows = plan >= 0
    return np.asarray(1e3 * (stamps_s[follows] - seen_s[plan[follows]]))


def at_actions(
    stamps_s: Times, position_m: Points, first_s: float, period_s: float
) -> Float64[np.ndarray, "m 3"]:
    """Targets at the times of actions, from the first of them to the last target.

    Args:
        stamps_s: of the targets.
        position_m: of the targets.
        first_s: a time of an action.
        period_s: between two actions.
    """
    begin = first_s + period_s * np.ceil((stamps_s[0] - first_s) / period_s)
    times = np.arange(begin, stamps_s[-1], period_s)
    return np.stack([np.interp(times, stamps_s, axis) for axis in position_m.T], axis=-1)


def seams(
    stamps_s: Times, position_m: Points, began_s: PlanTimes, first_s: float, period_s: float
) -> Sizes:
    """Steps [mm] and changes of velocity [mm/s] between neighbouring actions.

    Args:
        stamps_s: of the targets.
        position_m: of the targets.
        began_s: when the first target of each plan was sent.
        first_s: a time of an action.
        period_s: between two actions.

    Returns:
        Each of both where a new plan began in between, and elsewhere.
    """
    actions = at_actions(stamps_s, position_m, first_s, period_s)
    begin = first_s + period_s * np.ceil((stamps_s[0] - first_s) / period_s)
    steps = np.linalg.norm(np.diff(actions, axis=0), axis=1) * 1e3
    changes = np.linalg.norm(np.diff(actions, 2, axis=0), axis=1) * 1e3 / period_s
    new = np.zeros(len(steps), bool)
    where = np.floor((began_s - begin) / period_s).astype(int)
    new[where[(where >= 0) & (where < len(new))]] = True
    changed = new[1:] | new[:-1] if len(new) > 1 else new[1:]
    return {
        "step_mm at hand-overs": steps[new],
        "step_mm elsewhere": steps[~new],
        "velocity_mm_s at hand-overs": changes[changed],
        "velocity_mm_s elsewhere": changes[~changed],
    }


def jumps(stamps_s: Times, position_m: Points, began_s: PlanTimes) -> dict[str, Any]:
    """The same from target to target: at the first of a plan, and everywhere else."""
    dt = np.diff(stamps_s)[:, None]
    keep = dt[:, 0] > 0.0
    steps = np.linalg.norm(np.diff(position_m, axis=0), axis=1) * 1e3
    velocity = np.diff(position_m, axis=0)[keep] / dt[keep]
    changes = np.linalg.norm(np.diff(velocity, axis=0), axis=1) * 1e3
    new = np.zeros(len(stamps_s), bool)
    first = np.searchsorted(stamps_s, began_s - 1e-6)
    new[first[first < len(new)]] = True
    at_step, at_change = new[1:], new[1:][keep][1:]
    return {
        "target step_mm at hand-overs": steps[at_step],
        "target step_mm elsewhere": steps[~at_step],
        "target velocity_mm_s at hand-overs": changes[at_change],
        "target velocity_mm_s elsewhere": changes[~at_change],
    }


def jerk(actions_m: Points, period_s: float) -> Float64[np.ndarray, "m"]:
    """Its size [m/s^3] between the actions of one episode."""
    return np.asarray(np.linalg.norm(np.diff(actions_m, 3, axis=0), axis=1) / period_s**3)


def figures(
    trace: dict[str, Any], rate_hz: float, period_s: float, stood_still: StoodStill = unwatched
) -> dict[str, Any]:
    """All figures of a trace.

    Args:
        trace: arrays as `target_trace.Trace` writes them.
        rate_hz: targets that were asked for per second.
        period_s: between two actions.
        stood_still: see `ticks`.
    """
    targets, plans = trace["targets"], trace["plans"]
    parts: dict[str, list[Any]] = {}
    missed = excused = count = 0
    for episode in np.unique(targets[:, 0]):
        stamps, points = (
            targets[targets[:, 0] == episode, 1],
            targets[targets[:, 0] == episode, 2:5],
        )
        made = plans[plans[:, 0] == episode] if len(plans) else np.zeros((0, 3 + len(STAGES)))
        regular = ticks(stamps, rate_hz, stood_still)
        missed, count = missed + regular["missed"], count + regular["targets"]
        excused += regular["missed_by_machine"]
        values = {"jitter_ms": regular["jitter_ms"]}
        if len(made) and len(stamps) > 10:
            began, seen = made[:, 1], made[:, 2]
            first = float(seen[0])
            values |= {"age_ms": ages(stamps, began, seen)}
            values |= seams(stamps, points, began, first, period_s)
            values |= jumps(stamps, points, began)
            values["jerk_m_s3"] = jerk(at_actions(stamps, points, first, period_s), period_s)
            values["planning_hz"] = 1.0 / np.diff(began)
        for name, found in values.items():
            parts.setdefault(name, []).append(found)
    joined = {name: np.concatenate(found) for name, found in parts.items()}
    stages = {name: spread(plans[:, 3 + n]) for n, name in enumerate(STAGES) if len(plans)}
    chain = spread(plans[:, 3:].sum(axis=1)) if len(plans) else spread(np.zeros(0))
    return {
        "targets": count,
        "missed_ticks": missed,
        "missed_while_the_machine_stood_still": excused,
        "plans": len(plans),
        "stages_ms": stages | {"whole chain": chain},
        **{name: spread(found) for name, found in joined.items()},
    }

"""What a session measures of itself, for diagnostics."""

from __future__ import annotations

from collections import Counter

from df_policy.frames import Observation
from df_policy.ros_nodes.monitor import Spread, Usual
from df_policy.ros_nodes.stages import STAGES, Chain


class Figures:
    """Counts and percentiles of one session."""

    def __init__(self) -> None:
        self.looks = self.late_actions = 0
        self.holds: Counter[str] = Counter()
        """Ticks without progress, by the kind of reason."""
        self.pauses: Counter[str] = Counter()
        """How often the session had to begin a new grid, by the kind of reason."""
        self.plan_latency_ms, self.compute_ms = Spread(), Spread()
        """From the observation to the first target made of it; the planner's own share."""
        self.usual_ms = Usual()
        """What the planner takes, from the latest plans; the two above look back over minutes."""
        self.image_age_ms = Spread()
        """Of each image, at the time of the look that took it."""
        self.command_age_ms = Spread(5000)
        """Of the oldest image behind each target, when it is sent."""
        self._stages_ms = {stage: Spread() for stage in STAGES}

    def looked(self, observation: Observation) -> None:
        """A look was taken."""
        self.looks += 1
        for stamp_ns in observation.image_stamps_ns.values():
            self.image_age_ms.add((observation.stamp_ns - stamp_ns) * 1e-6)

    def answered(self, compute_s: float) -> None:
        """The planner has worked so long on a plan."""
        self.compute_ms.add(compute_s * 1e3)
        self.usual_ms.add(compute_s * 1e3)

    def followed(self, times: Chain) -> None:
        """A new plan's first target is sent."""
        self.late_actions += times.late
        for stage, share_ms in zip(STAGES, times.stages_ms, strict=True):
            self._stages_ms[stage].add(share_ms)

    def report(self) -> dict[str, object]:
        """All of them."""
        spreads = {
            "plan_latency_ms": self.plan_latency_ms,
            "compute_ms": self.compute_ms,
            "command_age_ms": self.command_age_ms,
            **{f"{stage} ms": spread for stage, spread in self._stages_ms.items()},
        }
        return {
            "looks": self.looks,
            "late_actions": self.late_actions,
            **{
                f"{name}_p{percent}": round(spread.percentile(percent), 1)
                for name, spread in spreads.items()
                for percent in (50, 99)
            },
            "look_image_age_ms_p50": round(self.image_age_ms.percentile(50), 1),
            "look_image_age_ms_worst": round(self.image_age_ms.percentile(100), 1),
            **{f"held_ticks {kind}": count for kind, count in self.holds.items()},
            **{f"pauses {kind}": count for kind, count in self.pauses.items()},
        }

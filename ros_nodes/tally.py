"""How episodes ended, and what that says about the next ones."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from df_policy.evaluate import wilson95
from df_policy.files import write_text


@dataclass(frozen=True)
class Ending:
    """One episode."""

    seed: int
    success: bool
    reason: str
    targets: int
    rate_hz: float
    """Of the targets, by the robot's clock."""
    worst_gap_ms: float


class Tally:
    """Endings of the episodes that ran."""

    def __init__(self) -> None:
        self.endings: list[Ending] = []

    def add(self, ending: Ending) -> None:
        """Count one."""
        self.endings.append(ending)

    @property
    def successes(self) -> int:
        """How many succeeded."""
        return sum(ending.success for ending in self.endings)

    def summary(self) -> str:
        """One line."""
        low, high = wilson95(self.successes, len(self.endings))
        return (
            f"{self.successes} of {len(self.endings)} succeeded "
            f"(95 % interval {100 * low:.0f}-{100 * high:.0f} %)"
        )

    def write(self, path: Path, asked: int) -> None:
        """The result as JSON.

        Args:
            path: its folder is made.
            asked: how many episodes should have run.

        Raises:
            DfPolicyError: if the disk refuses.
        """
        rates = [ending.rate_hz for ending in self.endings]
        result = {
            "episodes": len(self.endings),
            "asked": asked,
            "successes": self.successes,
            "wilson95": wilson95(self.successes, len(self.endings)),
            "failures": Counter(e.reason for e in self.endings if not e.success),
            "seeds": [ending.seed for ending in self.endings],
            "control": {
                "rate_hz": sum(rates) / len(rates) if rates else 0.0,
                "worst_gap_ms": max((e.worst_gap_ms for e in self.endings), default=0.0),
                "targets": sum(ending.targets for ending in self.endings),
            },
            "results": [asdict(ending) for ending in self.endings],
        }
        write_text(path, json.dumps(result, indent=2) + "\n")

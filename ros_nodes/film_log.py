"""What a film of simulated episodes is made from: positions, plans and how episodes ended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from df_policy.environment import Verdict
from df_policy.files import check_writable, write_atomically

NO_PLAN: Float64[np.ndarray, "h 3"] = np.zeros((0, 3))


class FilmLog:
    """Collects moments in memory; `write` puts all of them into one .npz file.

    The file holds, for each moment, `qpos` (moments, q), `stamp_ns`, `episode` and `plan`
    (moments, h, 3) [m], NaN where a plan is shorter; for each episode, `seed` and `verdict`.

    Args:
        path: where the file goes; its folder is made.

    Raises:
        DfPolicyError: if no file can be written there.
    """

    def __init__(self, path: Path) -> None:
        check_writable(path)
        self._path = path
        self._moments: list[tuple[int, int, np.ndarray, np.ndarray]] = []
        self._seeds: list[int] = []
        self._verdicts: list[str] = []
        self.plan = NO_PLAN
        """The points of the plan that is followed now."""

    def begin(self, seed: int) -> None:
        """A new episode."""
        self._seeds.append(seed)
        self._verdicts.append("")
        self.plan = NO_PLAN

    def add(self, stamp_ns: int, qpos: Float64[np.ndarray, "q"]) -> None:
        """One moment of the present episode."""
        if self._seeds and not self._verdicts[-1]:
            self._moments.append((stamp_ns, len(self._seeds) - 1, qpos, self.plan))

    def end(self, verdict: Verdict) -> None:
        """The episode is over; later moments belong to none."""
        if self._verdicts:
            self._verdicts[-1] = verdict.reason

    def write(self) -> None:
        """Replace the file by all that was collected: once, at the end, for it takes a while.

        Raises:
            DfPolicyError: if the disk refuses.
        """
        if not self._moments:
            return
        stamps, episodes, qpos, plans = zip(*self._moments, strict=True)
        padded = np.full((len(plans), max(len(plan) for plan in plans), 3), np.nan)
        for row, plan in zip(padded, plans, strict=True):
            row[: len(plan)] = plan

        def save(path: Path) -> None:
            with path.open("wb") as file:
                np.savez_compressed(
                    file,
                    qpos=np.array(qpos),
                    stamp_ns=np.array(stamps, np.int64),
                    episode=np.array(episodes, np.int64),
                    plan=padded,
                    seed=np.array(self._seeds, np.int64),
                    verdict=np.array(self._verdicts),
                )

        write_atomically(self._path, save)

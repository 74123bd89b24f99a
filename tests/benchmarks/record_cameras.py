#!/usr/bin/env python3
"""Two 480x640 cameras at 30 Hz beside the simulator: late ticks, lost frames, time until safe.

`python tests/benchmarks/record_cameras.py --seconds 30 --episodes 2` records as `teleop/record.py`
does by hand: the control loop in one thread, the store written in others. The physics of the
simulator runs; pictures are rendered beforehand and come at 30 a second, as from cameras, since
software rendering of that size would take longer than a tick. `--noise 2` adds a sensor's.

Prints one JSON object. `safe_ms` is the time from "keep" until a loss of power would cost nothing
of the episode, `filed_ms` until readers see it. `--cores 2` keeps to so many cores. `late` are
ticks that came more than a tenth of a period late, `late_by_machine` those of them while a core
stood still (`df_policy/witness.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from df_policy.data import journal
from df_policy.data.reader import EpisodeStore
from df_policy.data.verify import verify
from df_policy.data.writer import EpisodeWriter
from df_policy.environment import Command, Event
from df_policy.frames import Action, Frame, Observation
from df_policy.sim.environment import TaskEnvironment
from df_policy.sim.scripted import ScriptedOperator
from df_policy.sim.tasks import find
from df_policy.sim.world import WorldSettings
from df_policy.teleop.background import BackgroundSink
from df_policy.teleop.pace import Pace
from df_policy.teleop.recorder import run_episode
from df_policy.witness import Witness

CAMERAS = {"front": (480, 640), "wrist": (480, 640)}
RATE_HZ = 30
_SETTINGS = WorldSettings(
    physics_dt_s=1 / 480, control_rate_hz=60, action_rate_hz=RATE_HZ, cameras=CAMERAS
)
_PICTURES = 60


def render(noise: float) -> dict[str, np.ndarray]:
    """Pictures of a scripted episode: camera -> (n, H, W, 3)."""
    world, found = TaskEnvironment(find("fruit_swap"), _SETTINGS), []
    operator, seen = ScriptedOperator(world), world.reset(0)
    operator.start(seen, 0)
    for _ in range(_PICTURES):
        seen, _ = world.step(operator.act(seen).action)
        found.append(seen.images)
    world.close()
    draw = np.random.default_rng(0)
    return {
        camera: np.stack(
            [
                np.clip(one[camera] + draw.normal(0, noise, one[camera].shape), 0, 255)
                for one in found
            ]
        ).astype(np.uint8)
        for camera in CAMERAS
    }


class World:
    """The simulator without a renderer, with pictures as from cameras."""

    def __init__(self, pictures: dict[str, np.ndarray], seconds: float) -> None:
        self._inner = TaskEnvironment(find("fruit_swap"), _SETTINGS, cameras=False)
        self._pictures, self._tick = pictures, 0
        self.spec, self.episode_steps = self._inner.spec, int(RATE_HZ * seconds)
        self.judge, self.close = self._inner.judge, self._inner.close

    def reset(self, seed: int) -> Observation:
        return self._with_pictures(self._inner.reset(seed))

    def step(self, action: Action) -> tuple[Observation, Action]:
        seen, sent = self._inner.step(action)
        return self._with_pictures(seen), sent

    def _with_pictures(self, seen: Observation) -> Observation:
        number, self._tick = self._tick % _PICTURES, self._tick + 1
        images = {camera: all_[number].copy() for camera, all_ in self._pictures.items()}
        stamps = dict.fromkeys(images, seen.stamp_ns)
        return replace(seen, images=images, image_stamps_ns=stamps)


class Keeper:
    """Stays where it is, and keeps the episode after so many steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def start(self, observation: Observation, seed: int) -> None:
        self._left, self._action = self._steps, observation.hold()

    def act(self, observation: Observation) -> Command:
        self._left -= 1
        return Command(self._action, None if self._left else Event.KEEP)


class Rhythm:
    """The pace of a recording, and when its late ticks were due and came."""

    def __init__(self) -> None:
        self._pace = Pace(1 / RATE_HZ)
        self._pace.restart()
        self.late_s: list[tuple[float, float]] = []

    @property
    def ticks(self) -> int:
        return self._pace.ticks

    @property
    def worst_s(self) -> float:
        return self._pace.worst_s

    def wait(self) -> None:
        late = self._pace.late
        self._pace.wait()
        if self._pace.late > late:
            self.late_s.append((time.time() - 1 / RATE_HZ, time.time()))


class Timed:
    """The background sink, and when it was told what."""

    def __init__(self, sink: BackgroundSink) -> None:
        self._sink, self.drop = sink, sink.drop
        self.asked_s: list[float] = []
        self.waiting: list[int] = []

    def append(self, frame: Frame) -> None:
        self._sink.append(frame)

    def keep(self, seed: int, success: bool, note: str = "") -> None:
        self.asked_s.append(time.monotonic())
        self.waiting.append(self._sink.waiting)
        self._sink.keep(seed, success, note)


def run(folder: Path, pictures: dict[str, np.ndarray], seconds: float, episodes: int) -> Any:
    """Record; what it was like."""
    world, path = World(pictures, seconds), folder / "cameras.zarr"
    safe_s: list[float] = []
    write = journal.Journal.write

    def timed_write(self: journal.Journal, kept: journal.Kept) -> None:
        write(self, kept)
        safe_s.append(time.monotonic())

    journal.Journal.write = timed_write  # type: ignore[method-assign]
    rhythms, filed_s = [], []
    with EpisodeWriter.open(path, world.spec, "cameras") as writer:
        background = BackgroundSink(writer)
        sink = Timed(background)
        for episode in range(episodes):
            rhythms.append(Rhythm())
            run_episode(world, Keeper(world.episode_steps), episode, sink, wait=rhythms[-1].wait)
            while background.kept <= episode:
                time.sleep(0.001)
            filed_s.append(time.monotonic())
        background.close()
    world.close()
    store, steps = EpisodeStore.open(path), world.episode_steps
    stamps = [store.rows("stamp_ns", *store.bounds(index)) for index in range(len(store))]
    gaps = sum(int(np.sum(np.abs(np.diff(one) - world.spec.period_ns) > 10**6)) for one in stamps)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return {
        "ticks": sum(one.ticks for one in rhythms),
        "late_s": [moment for one in rhythms for moment in one.late_s],
        "worst_late_ms": 1e3 * max(one.worst_s for one in rhythms),
        "frames_lost": episodes * steps - store.frames + gaps,
        "frames_waiting_at_keep": sink.waiting,
        "safe_ms": [1e3 * (b - a) for a, b in zip(sink.asked_s, safe_s, strict=True)],
        "filed_ms": [1e3 * (b - a) for a, b in zip(sink.asked_s, filed_s, strict=True)],
        "findings": len(verify(path).findings),
        "megabytes": size / 1e6,
    }


def main() -> int:
    """Print the result as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--episodes", type=int, default=2)
    options.add_argument("--noise", type=float, default=0.0, help="standard deviation, of 255")
    options.add_argument("--cores", type=int, default=2)
    options.add_argument("--folder", type=Path, help="where to record")
    chosen = options.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: chosen.cores])
    pictures = render(chosen.noise)
    load = os.getloadavg()[0]
    with Witness() as witness, tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        result = run(Path(folder), pictures, chosen.seconds, chosen.episodes)
    late_s = result.pop("late_s")
    result["late"] = len(late_s)
    result["late_by_machine"] = sum(
        witness.stalled_s(*moment) > 0.1 / RATE_HZ for moment in late_s
    )
    result["machine_stalls"] = len(witness.stalls)
    about = {**vars(chosen), "folder": None, "load": [load, os.getloadavg()[0]]}
    sys.stdout.write(json.dumps(about | result) + "\n")
    return 0 if result["frames_lost"] == result["findings"] == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())

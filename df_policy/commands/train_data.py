"""What a training learns from: one recording or several, decoded once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from df_policy.data.cache import Episodes
    from df_policy.demonstrations import Demonstrations

_SOME_IMAGES = 200


def demonstrations(
    locations: Sequence[str], weights: Sequence[float], progress: Progress
) -> tuple[Demonstrations, dict[str, Any]]:
    """The recordings as one, and what a checkpoint will say of them.

    Raises:
        DfPolicyError: if one cannot be read, or they do not belong together.
    """
    import numpy as np

    from df_policy.data.cache import load_cache
    from df_policy.data.remote import fetch, is_remote, name_of
    from df_policy.demonstrations import join
    from df_policy.provenance import versions

    recordings, paths = [], [Path(name_of(location)) for location in locations]
    for path, location in zip(paths, locations, strict=True):
        if is_remote(location):
            task = progress.add_task("fetch", total=1, note=path.name)
            here = fetch(location, progress=partial(_decoded, progress, task))
        else:
            here = Path(location)
        task = progress.add_task("decode", total=1, note="")
        show = partial(_decoded, progress, task)
        recordings.append(load_cache(here, progress=show))
        episodes = len(recordings[-1].ends)
        progress.update(task, completed=1, total=1, note=f"{episodes} episodes of {path.name}")
    _check_apart(locations, recordings)
    data = join([recording.demonstrations() for recording in recordings], weights)
    about: dict[str, Any] = {
        "data": " ".join(path.name for path in paths),
        "fingerprint": _fingerprint(data),
        "episodes": len(data.ends),
        "frames": len(data.action),
        "task": recordings[0].task,
        "versions": versions(),
    }
    seeds = np.concatenate([recording.seeds for recording in recordings])
    if (seeds >= 0).any():
        about["recorded_seeds"] = [int(seeds[seeds >= 0].min()), int(seeds.max())]
    return data, about


def _check_apart(paths: Sequence[str | Path], recordings: Sequence[Episodes]) -> None:
    """Raises DfPolicyError if an episode would be learnt twice, or two tasks be taken for one."""
    seen: dict[tuple[str, int], str | Path] = {}
    task = recordings[0].task
    for path, recording in zip(paths, recordings, strict=True):
        if not recording.task.startswith(task):
            raise DfPolicyError(
                f"expected recordings of {task} like {paths[0]}, got {recording.task} in {path}; "
                "train each task alone"
            )
        for seed in recording.seeds[recording.seeds >= 0].tolist():
            other = seen.setdefault((recording.task, seed), path)
            if other is not path:
                raise DfPolicyError(
                    f"expected each episode once, got seed {seed} in {other} and {path}, so that "
                    "held-out episodes would be known; give the recorder another --seed, or leave "
                    "one out"
                )


def _fingerprint(data: Demonstrations) -> str:
    """What tells recordings apart: all numbers, and some of the images of every camera."""
    import numpy as np

    content = hashlib.sha256(repr(data.spec).encode())
    for rows in (data.ends, data.action, data.tool_position, data.gripper):
        content.update(rows.tobytes())
    if data.weights:
        content.update(repr(data.weights).encode())
    some = np.arange(0, len(data.action), max(1, len(data.action) // _SOME_IMAGES))
    for camera in sorted(data.spec.cameras):
        content.update(data.images[camera][some].tobytes())
    return content.hexdigest()[:16]


def _decoded(progress: Progress, task: TaskID, done: int, of: int) -> None:
    progress.update(task, completed=done, total=of)

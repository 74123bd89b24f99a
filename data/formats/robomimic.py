"""Datasets of robomimic: one HDF5 file with a group for each demonstration.

Source: ARISE-Initiative/robomimic, docs/datasets/overview.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from df_policy.data.formats import hdf5, note
from df_policy.data.formats.conventions import Conventions, Field
from df_policy.data.formats.source import (
    MOST_EPISODES,
    Contents,
    Raw,
    Recording,
    Tick,
    Wanted,
    check_size,
    damaged,
)
from df_policy.data.schema import NO_SEED, columns, image_column
from df_policy.errors import DfPolicyError

LOST = (
    "states and model_file: there is no simulator's state in a recording, so no playback",
    "next_obs: robomimic's behaviour cloning does not ask for it",
)

_NAMES = {
    "q": "obs/robot0_joint_pos",
    "dq": "obs/robot0_joint_vel",
    "tool_position": "obs/robot0_eef_pos",
    "tool_quat_xyzw": "obs/robot0_eef_quat",
    "gripper": "obs/robot0_gripper_opening",
    "action": "actions",
    "action_requested": "actions_requested",
}
_ROBOSUITE, _GYM = 1, 2
"""robomimic's own numbers for kinds of environments."""

_OSC_AXES = 6


def recognises(path: Path) -> bool:
    """Whether it is an HDF5 file with demonstrations."""
    if not hdf5.is_hdf5(path):
        return False
    with hdf5.opened(path) as file:
        return isinstance(file.get("data", getlink=True), h5py.HardLink)


@dataclass(frozen=True)
class Demonstrations:
    """An open file."""

    contents: Contents
    data: Any
    names: list[str]
    where: Path

    def read(self, index: int, wanted: Wanted) -> Raw:
        """One episode."""
        keys = wanted.keys
        where = f"{self.names[index]} of {self.where}"
        group = hdf5.group_in(self.data, self.names[index])
        with damaged(where):
            found = hdf5.arrays(group)
            here = hdf5.kinds({key: found[key] for key in keys if key in found})
            for key in keys:
                if here.get(key) != self.contents.keys[key]:
                    raise DfPolicyError(
                        f"expected {self.contents.keys[key]} as {key} in {where}, got "
                        f"{here.get(key, 'nothing')}; leave this demonstration out"
                    )
            lengths = [found[key].shape[0] for key in keys]
            lengths += [int(group.attrs["num_samples"])] if "num_samples" in group.attrs else []
            check_size(here, max(lengths), where)
            if len(set(lengths)) > 1:
                raise DfPolicyError(
                    f"expected {max(lengths)} rows of each array in {where}, got {min(lengths)} "
                    f"of one: row {min(lengths)} is missing; leave this demonstration out"
                )
            rows = {key: np.asarray(found[key][()]) for key in keys}
            success, seed = group.attrs.get("success"), group.attrs.get("seed")
            return Raw(
                rows,
                None if success is None else bool(success),
                None if seed is None else int(seed),
                hdf5.text(group.attrs, "note") or "",
            )


@contextmanager
def open_source(path: Path) -> Iterator[Demonstrations]:
    """Look at a file of demonstrations.

    Raises:
        DfPolicyError: if it is damaged or empty.
    """
    with hdf5.opened(path) as file:
        data = hdf5.group_in(file, "data")
        with damaged(path):
            names = [name for name in data if re.fullmatch(r"demo_\d{1,9}", name)]
            names.sort(key=lambda name: int(name.removeprefix("demo_")))
            if not 1 <= len(names) <= MOST_EPISODES:
                raise DfPolicyError(f"expected demonstrations in {path}, got {len(names)}")
            keys = hdf5.kinds(hdf5.arrays(hdf5.group_in(data, names[0])))
            contents = _contents(data, len(names), keys, path)
        yield Demonstrations(contents, data, names, path)


def _contents(data: Any, episodes: int, keys: Mapping[str, Any], path: Path) -> Contents:
    said = hdf5.text(data.attrs, note.KEY)
    if said is not None:
        header, told = note.read_note(said, str(path))
        rate, task = header.spec.action_rate_hz, header.task
        return Contents(episodes, keys, told, header, rate, task)
    described = hdf5.text(data.attrs, "env_args")
    values = {} if described is None else json.loads(described)
    if not isinstance(values, dict):
        raise DfPolicyError(f"expected an object as env_args in {path}, got {described!r:.80}")
    settings = values.get("env_kwargs")
    settings = settings if isinstance(settings, dict) else {}
    pace = settings.get("control_freq")
    told = _robosuite(settings) if values.get("type") == _ROBOSUITE else Conventions()
    kept = {name: place for name, place in told.fields.items() if place.key in keys}
    told = Conventions(kept, {}, told.action, told.action_row, None, told.colour, told.scale)
    name = values.get("env_name")
    hertz = float(pace) if isinstance(pace, int | float) else None
    return Contents(
        episodes,
        keys,
        told,
        None,
        hertz,
        name if isinstance(name, str) else None,
    )


def _robosuite(settings: Mapping[str, Any]) -> Conventions:
    """What robosuite documents of its one-armed robots, and what its settings say.

    Poses are in the frame of its world, so the place of the base is asked for.
    """
    fields = {
        "q": Field("obs/robot0_joint_pos", "rad"),
        "dq": Field("obs/robot0_joint_vel", "rad"),
        "tool_position": Field("obs/robot0_eef_pos", "m"),
        "tool_rotation": Field("obs/robot0_eef_quat", "quat_xyzw"),
        "gripper": Field("obs/robot0_gripper_qpos", "fingers_m"),
    }
    controller = settings.get("controller_configs")
    reach = controller.get("output_max") if isinstance(controller, dict) else None
    stepping = (
        isinstance(controller, dict)
        and controller.get("type") == "OSC_POSE"
        and controller.get("control_delta") is True
        and isinstance(reach, list)
        and len(reach) == _OSC_AXES
        and all(isinstance(number, int | float) for number in reach)
        and len(set(reach[:3])) == 1
        and len(set(reach[3:])) == 1
    )
    if not stepping or not isinstance(reach, list):
        return Conventions(fields, colour="rgb")
    fields["action_position"] = Field("actions", "m", 0, 3)
    fields["action_rotation"] = Field("actions", "axis_angle", 3, 6)
    fields["action_gripper"] = Field("actions", "closed_plus", 6, 7)
    scale = (float(reach[0]), float(reach[3]))
    return Conventions(fields, {}, "delta_base", "after", None, "rgb", scale)


def write(recording: Recording, target: Path, tick: Tick) -> None:
    """A file that robomimic's training reads."""
    spec = recording.header.spec
    names = {c.name: _NAMES.get(c.name, f"obs/{c.name}") for c in columns(spec)}
    names |= {image_column(camera): f"obs/{camera}_image" for camera in spec.cameras}
    from df_policy.data.formats.replay_buffer import plain_conventions

    told = plain_conventions(recording.header, names)
    with h5py.File(target, "w") as file:
        data, good = file.create_group("data"), []
        for index in range(len(recording)):
            episode = recording.episode(index)
            group = data.create_group(f"demo_{index}")
            for name, rows in episode.arrays.items():
                hdf5.put(group, names[name], rows)
            frames = len(episode.arrays["stamp_ns"])
            last = np.arange(frames) == frames - 1
            group.create_dataset("dones", data=last.astype(np.int64))
            group.create_dataset("rewards", data=(last & episode.success).astype(np.float64))
            group.attrs["num_samples"] = frames
            group.attrs["success"] = episode.success
            group.attrs["note"] = episode.note
            if episode.seed != NO_SEED:
                group.attrs["seed"] = episode.seed
            if episode.success:
                good.append(f"demo_{index}")
            tick()
        data.attrs["total"] = recording.frames
        environment = {"env_name": recording.header.task, "type": _GYM, "env_kwargs": {}}
        data.attrs["env_args"] = json.dumps(environment)
        data.attrs[note.KEY] = note.write_note(recording.header, told)
        file.create_dataset("mask/success", data=np.array(good, dtype="S"))

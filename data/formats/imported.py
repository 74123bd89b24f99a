"""A dataset of another format, seen as a recording: one episode at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from df_policy.data.episode import Episode
from df_policy.data.formats.conventions import ABSENT, COMMANDS, Conventions
from df_policy.data.formats.convert import Reading
from df_policy.data.formats.kinematics import Arm
from df_policy.data.formats.rotation import WIDTHS
from df_policy.data.formats.source import Contents, Kind, Raw, Source, Wanted, check_image
from df_policy.data.header import Header
from df_policy.data.schema import NO_SEED, columns
from df_policy.errors import DfPolicyError, nearest
from df_policy.frames import ACTION_WIDTH
from df_policy.robot import RobotSpec


@dataclass(frozen=True)
class Imported:
    """A source seen through its conventions: what the writer of recordings takes."""

    source: Source
    conventions: Conventions
    header: Header
    success: bool | None
    """The verdict where the file has none."""
    arm: Arm | None = None
    """Where the tool is, for files that tell of joints only."""

    def __post_init__(self) -> None:
        """Look at the conventions before hours of work.

        Raises:
            DfPolicyError: if they do not fit the file.
        """
        check_fit(self.conventions, self.source.contents, self.header.spec)

    def __len__(self) -> int:
        """Episodes."""
        return self.source.contents.episodes

    def episode(self, index: int) -> Episode:
        """One episode in our arrays.

        Raises:
            DfPolicyError: if its numbers are not what the conventions say.
        """
        told = self.conventions
        raw = self.source.read(index, self._wanted())
        name = f"episode {index}"
        _check_rows(raw, name)
        arrays = Reading(raw, told, self.header.spec, self.arm, name).arrays()
        verdict = self._verdict(raw)
        if verdict is None:
            raise DfPolicyError(
                f"expected a verdict on {name}, got none in the file; say --success yes, "
                "--success no, or --field success=KEY:any"
            )
        return Episode(arrays, NO_SEED if raw.seed is None else raw.seed, verdict, raw.note)

    def _wanted(self) -> Wanted:
        fields = {n: p.key for n, p in self.conventions.fields.items() if p.kind != ABSENT}
        commands = {key for name, key in fields.items() if name.startswith(COMMANDS)}
        keys = {*fields.values(), *self.conventions.cameras.values()}
        rate_hz = self.header.spec.action_rate_hz
        return Wanted(frozenset(keys), frozenset(commands), rate_hz)

    def _verdict(self, raw: Raw) -> bool | None:
        if "success" in self.conventions.fields:
            return bool(self.conventions.fields["success"].take(raw.arrays).any())
        return self.success if raw.success is None else raw.success


def check_fit(told: Conventions, contents: Contents, spec: RobotSpec) -> None:
    """Refuse conventions that name what is not in the file, or is too narrow.

    Raises:
        DfPolicyError: naming the first that does not fit.
    """
    widths = {
        "q": len(spec.joint_names),
        "action_joints": len(spec.joint_names),
        "dq": len(spec.joint_names),
        "tool_position": 3,
        "action_position": 3,
        "requested_position": 3,
        "action": ACTION_WIDTH,
        "action_requested": ACTION_WIDTH,
    }
    widths |= {f"column:{c.name}": int(np.prod(c.row_shape)) for c in columns(spec)}
    for name, place in told.fields.items():
        if place.kind == ABSENT:
            continue
        kind = _kind(contents, place.key, name)
        full = int(np.prod(kind.shape))
        width = full if place.start is None else min(place.stop or 0, full) - place.start
        wanted = WIDTHS.get(place.kind, widths.get(name, 2 if place.kind == "fingers_m" else 1))
        if name != "success" and (width != wanted or (place.stop or 0) > full):
            raise DfPolicyError(
                f"expected {wanted} numbers for {name}, got {place} of {kind}; cut it: "
                f"{place.key}[0:{wanted}]"
            )
        if np.dtype(kind.dtype).kind not in "fiub":
            raise DfPolicyError(f"expected numbers for {name}, got {kind} in {place.key}")
    for camera, key in told.cameras.items():
        if check_image(_kind(contents, key, camera), key) != tuple(spec.cameras.get(camera, ())):
            raise DfPolicyError(
                f"expected images of {spec.cameras.get(camera)} for camera {camera!r}, got "
                f"{contents.keys[key]} in {key}; the file is damaged"
            )


def _kind(contents: Contents, key: str, name: str) -> Kind:
    if key not in contents.keys:
        hint = nearest(key, contents.keys) or f"; there are {', '.join(list(contents.keys)[:60])}"
        raise DfPolicyError(f"expected {key!r} in the file for {name}, got no such array{hint}")
    return contents.keys[key]


def _check_rows(raw: Raw, name: str) -> None:
    lengths = {key: len(rows) for key, rows in raw.arrays.items()}
    if len(set(lengths.values())) > 1:
        most = max(lengths.values())
        key, rows = min(lengths.items(), key=lambda item: item[1])
        raise DfPolicyError(
            f"expected {most} frames of {key} in {name}, got {rows}: row {rows} is missing; "
            "leave this episode out"
        )
    for key, array in raw.arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise DfPolicyError(
                f"expected finite numbers in {key} of {name}, got {array[row]} in row {row}; "
                "leave this episode out"
            )

"""What training reads: whole recorded episodes in flat arrays, and the windows cut from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from df_policy.errors import DfPolicyError
from df_policy.geometry import rotation_6d
from df_policy.robot import RobotSpec


@dataclass(frozen=True)
class Demonstrations:
    """All frames one after another; episode i covers starts[i] .. ends[i] - 1."""

    spec: RobotSpec
    images: Mapping[str, UInt8[np.ndarray, "n height width 3"]]
    tool_position: Float32[np.ndarray, "n 3"]
    tool_quat_xyzw: Float32[np.ndarray, "n 4"]
    gripper: Float32[np.ndarray, "n 1"]
    action: Float32[np.ndarray, "n 10"]
    """The action really sent at each frame."""
    starts: Int64[np.ndarray, "e"]
    ends: Int64[np.ndarray, "e"]

    def proprioception(self) -> Float64[np.ndarray, "n 10"]:
        """Tool pose and gripper as an action row: the action that would stay there."""
        rotation = rotation_6d(self.tool_quat_xyzw.astype(np.float64))
        parts = [self.tool_position, rotation, self.gripper]
        return np.concatenate(parts, axis=1, dtype=np.float64)

    def frames(self) -> Int64[np.ndarray, "m"]:
        """Row numbers of all frames of these episodes."""
        spans = zip(self.starts, self.ends, strict=True)
        return np.concatenate([np.arange(start, end) for start, end in spans])

    def first(self, episodes: int) -> Demonstrations:
        """Only the first ones; 0 for all.

        Raises:
            DfPolicyError: if there are not so many.
        """
        if episodes == 0:
            return self
        if episodes > len(self.ends):
            raise DfPolicyError(
                f"expected a recording of at least {episodes} episodes (run.episodes), got "
                f"{len(self.ends)}; record more"
            )
        end = int(self.ends[episodes - 1])
        return replace(
            self,
            images={camera: images[:end] for camera, images in self.images.items()},
            tool_position=self.tool_position[:end],
            tool_quat_xyzw=self.tool_quat_xyzw[:end],
            gripper=self.gripper[:end],
            action=self.action[:end],
            starts=self.starts[:episodes],
            ends=self.ends[:episodes],
        )

    def split(self, held_out: float, seed: int) -> tuple[Demonstrations, Demonstrations]:
        """Training and held-out episodes, drawn by `seed`; the arrays are shared.

        Raises:
            DfPolicyError: if there are not enough episodes for both.
        """
        count = len(self.ends)
        out = max(1, round(held_out * count))
        if count - out < 1:
            raise DfPolicyError(
                f"expected at least 2 episodes to hold {out} out, got {count}; record more"
            )
        order = np.random.default_rng(seed).permutation(count)
        keep, hold = np.sort(order[out:]), np.sort(order[:out])
        return (
            replace(self, starts=self.starts[keep], ends=self.ends[keep]),
            replace(self, starts=self.starts[hold], ends=self.ends[hold]),
        )


@dataclass(frozen=True)
class Windows:
    """Which frames make up each token of a batch of sequences."""

    observation: Int64[np.ndarray, "b t"]
    """Frame that the token observes."""
    action: Int64[np.ndarray, "b t c"]
    """Frames whose actions led to it."""
    before: Bool[np.ndarray, "b t c"]
    """True where there was no action yet: the robot held still."""
    real: Bool[np.ndarray, "b t"]
    """False where the window ran past the episode: the last frame is repeated."""


def windows(
    starts: Int64[np.ndarray, "b"],
    ends: Int64[np.ndarray, "b"],
    offsets: Int64[np.ndarray, "b"],
    tokens: int,
    chunk: int,
) -> Windows:
    """Contiguous sequences of tokens: each observes a frame `chunk` after the one before.

    Args:
        starts: first frame of each sequence's episode.
        ends: frame after its last.
        offsets: frames skipped at its beginning, less than its length.
        tokens: length of the sequences.
        chunk: actions in a token.
    """
    step = offsets[:, None] + chunk * np.arange(tokens)[None, :]  # (b, t)
    length = (ends - starts)[:, None]
    executed = step[:, :, None] + np.arange(-chunk, 0)  # (b, t, c)
    last = length[:, :, None] - 1
    return Windows(
        observation=starts[:, None] + np.minimum(step, length - 1),
        action=starts[:, None, None] + np.clip(executed, 0, last),
        before=executed < 0,
        real=step < length,
    )

"""The tasks behind gymnasium's interface, for learners that expect one."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from df_policy.frames import ACTION_WIDTH, Action, Image, Observation
from df_policy.geometry import rotation_6d
from df_policy.sim.cameras import PersonView
from df_policy.sim.tasks import make
from df_policy.sim.world import WorldSettings

Reading = dict[str, Any]


class TaskGym(gymnasium.Env[Reading, np.ndarray]):
    """`FruitSwap-v0` and its like: reward 1 with the last step if the task is done, otherwise 0.

    An action is a row as `df_policy.frames.Action.row` writes it. Episodes have a fixed length and
    end by truncation.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        task: str = "fruit_swap",
        render_mode: str | None = None,
        settings: WorldSettings | None = None,
    ) -> None:
        """Builds the world.

        Args:
            task: its name.
            render_mode: `rgb_array`, or None for no pictures.
            settings: rates and image sizes.

        Raises:
            ValueError: if the render mode is another.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"expected render_mode None or 'rgb_array', got {render_mode!r}")
        self.render_mode = render_mode
        self._inner = make(task, settings)
        self._view: PersonView | None = None
        self._steps = 0
        spec = self._inner.spec
        low, high = spec.workspace_m
        self.action_space = spaces.Box(
            np.array([*low, *[-1.0] * 6, spec.gripper_range_m[0]], dtype=np.float32),
            np.array([*high, *[1.0] * 6, spec.gripper_range_m[1]], dtype=np.float32),
        )
        joints = len(spec.joint_names)
        images = {
            name: spaces.Box(0, 255, (*size, 3), np.uint8) for name, size in spec.cameras.items()
        }
        self.observation_space = spaces.Dict(
            {
                **images,
                "q": _unbounded(joints),
                "dq": _unbounded(joints),
                "tool": _unbounded(ACTION_WIDTH - 1),
                "gripper": _unbounded(1),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Reading, dict[str, Any]]:
        """Start the episode of `seed`, or of one drawn at random."""
        super().reset(seed=seed)
        del options
        episode = int(self.np_random.integers(2**31)) if seed is None else seed
        self._steps = 0
        return _reading(self._inner.reset(episode)), {"seed": episode}

    def step(self, action: np.ndarray) -> tuple[Reading, float, bool, bool, dict[str, Any]]:
        """Carry out one action.

        Raises:
            ValueError: if a number is not finite or the six of the rotation span no plane.
        """
        row = np.asarray(action, dtype=np.float64)
        observation, sent = self._inner.step(Action.from_row(row))
        self._steps += 1
        ended = self._steps >= self._inner.episode_steps
        success, reason = False, "unfinished"
        if ended:
            verdict = self._inner.judge()
            success, reason = verdict.success, verdict.reason
        info = {"is_success": success, "verdict": reason, "sent": sent.row()}
        return _reading(observation), float(success), False, ended, info

    def render(self) -> Image | None:
        """The picture for people, if the environment was made with `rgb_array`."""
        if self.render_mode is None:
            return None
        if self._view is None:
            self._view = PersonView(self._inner.world.model)
        return self._view.render(self._inner.world.data)

    def close(self) -> None:
        """Free the graphics."""
        if self._view is not None:
            self._view.close()
        self._inner.close()


def _unbounded(width: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, (width,), np.float32)


def _reading(observation: Observation) -> Reading:
    tool = observation.tool
    numbers = {
        "q": observation.q_rad,
        "dq": observation.dq_rad_s,
        "tool": np.concatenate([tool.position_m, rotation_6d(tool.quat_xyzw)]),
        "gripper": np.array([observation.gripper_m]),
    }
    return {**observation.images, **{k: v.astype(np.float32) for k, v in numbers.items()}}

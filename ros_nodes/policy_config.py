"""The policy node's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from df_policy.config import SamplerConfig, resampled
from df_policy.costs import read, write
from df_policy.ros_nodes.graph import IMAGE_AGE_S, PLAN_AGE_S, STATE_AGE_S
from df_policy.ros_nodes.params import autostart, parameter

MOST_SEED = 1 << 62
"""Each start adds one, and all of them go into eight bytes."""


@dataclass(frozen=True)
class PolicyNodeConfig:
    """Parameters of the policy node."""

    checkpoint: str = parameter("fruit_swap", "a shipped checkpoint's name, or a folder")
    device: str = parameter("cpu", "where the network runs: `cpu` or `cuda`")
    threads: int = parameter(1, "threads of the planner's process")
    every: int = parameter(0, "actions between two plans; 0: as the checkpoint has it")
    sampler: str = parameter("", 'how plans are sampled, JSON: `{"horizon": 1}` is quicker')
    seed: int = parameter(0, "seed of the first start's plans; each start adds one")
    rate_hz: float = parameter(50.0, "targets per second, at least two per action")
    max_image_age_s: float = parameter(IMAGE_AGE_S, "hold when a camera's newest image is older")
    max_state_age_s: float = parameter(STATE_AGE_S, "hold when joints or tool pose are older")
    max_plan_age_s: float = parameter(
        PLAN_AGE_S, "hold when what the newest plan was made of is older"
    )
    gather_s: float = parameter(0.06, "how long a look waits for samples that are under way")
    best_effort_images: bool = parameter(False, "for camera drivers that are not reliable")
    imagine: bool = parameter(False, "publish what each plan expects the cameras to see")
    dead_man_s: float = parameter(0.0, "hold unless `dead_man` says true so often; 0: needs none")
    inject_delay_ms: float = parameter(0.0, "hold back all that the robot says for so long")
    inject_loss: float = parameter(0.0, "lose this share of what the robot says, up to 1")
    costs: str = parameter("", "what plans are bent by: JSON, or a file of it; see Costs")
    log: str = parameter(
        "", "an .mcap file of all that the node sees and sends; never written over"
    )
    autostart: bool = autostart()

    def __post_init__(self) -> None:
        """Raises ValueError or DfPolicyError for values that cannot be."""
        if not 1.0 <= self.rate_hz <= 1000.0:
            raise ValueError(f"expected rate_hz from 1 to 1000, got {self.rate_hz}")
        for name in ("max_image_age_s", "max_state_age_s", "max_plan_age_s", "gather_s"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"expected {name} above 0, got {getattr(self, name)}")
        if abs(self.seed) >= MOST_SEED:
            raise ValueError(f"expected a seed below {MOST_SEED}, got {self.seed}")
        if self.threads < 1 or self.every < 0 or self.inject_delay_ms < 0.0:
            raise ValueError(
                "expected threads of at least 1, every and inject_delay_ms of at least 0, got "
                f"{self.threads}, {self.every}, {self.inject_delay_ms}"
            )
        if not 0.0 <= self.dead_man_s <= 10.0:
            raise ValueError(f"expected dead_man_s from 0 to 10, got {self.dead_man_s}")
        if not 0.0 <= self.inject_loss <= 1.0:
            raise ValueError(f"expected inject_loss from 0 to 1, got {self.inject_loss}")
        resampled(SamplerConfig(), self.sampler)
        # Held as JSON: what a file says is what it said when the parameter was set.
        object.__setattr__(self, "costs", write(read(self.costs)))


LIVE = frozenset({"seed", "max_image_age_s", "max_state_age_s", "gather_s", "dead_man_s", "costs"})
"""Parameters that may be set at any time; `gather_s` and `seed` act from the next start on."""

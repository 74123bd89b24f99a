"""The policy at run time: remember each token, then sample what to do next."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from df_policy import checkpoint
from df_policy.checkpoint import Checkpoint
from df_policy.config import SamplerConfig
from df_policy.device import has_bfloat16, pick
from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Observation
from df_policy.geometry import Pose
from df_policy.guidance import Cost, bent, total
from df_policy.memory import Memory
from df_policy.noise import NoiseSchedule
from df_policy.plan import Plan
from df_policy.robot import RobotSpec
from df_policy.sampler import Given, sample
from df_policy.schedule import Matrix, matrix, rolling


def scheduling_matrix(sampler: SamplerConfig, levels: int) -> Matrix:
    """The scheduling matrix that a sampler's settings describe.

    Raises:
        DfPolicyError: if there are more steps than levels.
    """
    try:
        return matrix(sampler.matrix, sampler.horizon, sampler.steps, levels, sampler.lag)
    except ValueError as error:
        raise DfPolicyError(f"the sampler does not fit the checkpoint: {error}") from error


def densest(rows: Float[Tensor, "n w"]) -> int:
    """The row with the nearest half of all rows around it.

    Where there are two choices it is in the middle of the likelier one: a mean, and a median too,
    may lie between them.
    """
    half = (len(rows) + 1) // 2
    return int(torch.cdist(rows, rows).sort(1).values[:, :half].sum(1).argmin())


class Policy:
    """A memory of the episode, and plans drawn from it.

    Call `plan` every `every` actions, with what was seen and what was really sent since; between
    two calls the robot follows the newest plan.

    A token is `chunk` actions long. Where plans are made more often, the policy has a memory for
    each place in a chunk at which a plan can begin, and uses one after the other: each reads
    tokens of the length that it was trained on, and what is seen at any call enters one.
    """

    def __init__(
        self,
        trained: Checkpoint,
        sampler: SamplerConfig | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        """A policy from a checkpoint.

        Args:
            trained: the checkpoint.
            sampler: in place of the one that it was stored with.
            device: where its weights are.
        """
        self.spec: RobotSpec = trained.spec
        self.config, self.about = trained.config, trained.about
        self.sampler = sampler or trained.config.sampler
        self.chunk = trained.config.token.chunk
        self.horizon, self.every = self.sampler.horizon, self.sampler.every
        self.commit = self.sampler.commit
        self._codec = trained.codec
        self._device = torch.device(device)
        self._denoiser = deepcopy(trained.denoiser)
        self.precision = torch.bfloat16 if has_bfloat16(self._device) else torch.float32
        self._denoiser.predict_in(self.precision)
        diffusion = trained.config.diffusion
        self._schedule = NoiseSchedule(diffusion.levels, diffusion.schedule, self._device)
        self._matrix = self._carried = scheduling_matrix(self.sampler, diffusion.levels)
        self._rolling = self.sampler.matrix == "rolling"
        if self._rolling:
            size = (self.horizon, self.sampler.steps, diffusion.levels)
            self._matrix, self._carried = rolling(*size)
        self._seen = self._codec.is_observation().to(self._device)
        self._generator = torch.Generator(self._device)
        self.costs: tuple[Cost, ...] = ()
        """What plans are judged and bent by; may be set at any time between two calls."""
        usual = trained.about.get("surprise", {})
        doubted = trained.config.diffusion.doubt > 0.0 and set(usual) == set(self.spec.cameras)
        if self.sampler.trust == "by_surprise" and not doubted:
            raise DfPolicyError(
                "expected a checkpoint that was trained with --diffusion.doubt to distrust images "
                "by surprise, got one without: set sampler.trust to always"
            )
        self._memories = [
            Memory(
                self._denoiser, self._schedule, self._codec, self.sampler, usual, self._generator
            )
            for _ in range(self.chunk // self.every)
        ]
        self.reset(0)

    @classmethod
    def load(
        cls, path_or_name: str, device: str = "cpu", sampler: SamplerConfig | None = None
    ) -> Policy:
        """The policy in a run folder, or the shipped one of that name.

        Raises:
            DfPolicyError: if there is none, or it cannot be read.
        """
        return cls(checkpoint.load(path_or_name, pick(device)), sampler, pick(device))

    def warm_up(self) -> None:
        """Make one plan from nothing, so that the first real one is not the slow one."""
        images = {name: np.zeros((*size, 3), np.uint8) for name, size in self.spec.cameras.items()}
        joints, down = np.zeros(len(self.spec.joint_names)), Pose.of([0.4, 0, 0.3], [1, 0, 0, 0])
        stamps = dict.fromkeys(images, 0)
        self.reset(0)
        self.plan(Observation(0, images, stamps, joints, joints, down, 0.0), [])
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forget the episode; `seed` sets all randomness of the next."""
        self._generator.manual_seed(seed)
        for memory in self._memories:
            memory.reset()
        self._calls = 0
        self._sent: deque[Action] = deque(maxlen=self.chunk)

    @torch.inference_mode()
    def plan(
        self,
        observation: Observation,
        executed: Sequence[Action],
        committed: Sequence[Action] = (),
    ) -> Plan:
        """Remember this token, then sample `horizon` tokens that follow it.

        Several plans are drawn; the one with most others near it is returned.

        Args:
            observation: what is seen now, and an action before where the policy has two frames.
            executed: the `every` actions sent between the last call's observation and this one,
                oldest first; at the first call of an episode none, and the robot is taken to have
                held still.
            committed: the actions after the observation that are decided already, oldest first:
                they are given when the plan is sampled, which begins with them.

        Raises:
            DfPolicyError: if images or actions are not what the policy was trained on.
        """
        ages_ns = {
            name: observation.stamp_ns - stamp_ns
            for name, stamp_ns in observation.image_stamps_ns.items()
        }
        token = self._token(observation, executed)
        given = self._given(committed)
        memory = self._memories[self._calls % len(self._memories)]
        trust = memory.read(token, ages_ns)
        ahead = self._sample(memory, given)
        chosen = self._choose(ahead)
        memory.foreseen = ahead[chosen, :1]
        self._sent.extend(executed)
        self._calls += 1
        actions = self._codec.decode_actions(ahead[chosen]).flatten(0, 1)
        return Plan(
            start_ns=observation.stamp_ns,
            period_ns=self.spec.period_ns,
            actions=actions.double().cpu().numpy(),
            observed_ns=observation.stamp_ns,
            trust=trust,
        )

    def _sample(self, memory: Memory, given: Given | None) -> Tensor:
        """The finished tokens of `samples` plans."""
        denoiser, known = memory.known()
        matrix, begin, width = self._matrix, None, self._codec.width
        if memory.unfinished is not None:
            far = torch.randn(
                (self.sampler.samples, 1, width), generator=self._generator, device=self._device
            )
            matrix, begin = self._carried, torch.cat([memory.unfinished, far], dim=1)
        tokens = sample(
            denoiser,
            self._schedule,
            known,
            matrix,
            width,
            self._generator,
            self.sampler.eta,
            given,
            begin,
            self._bend if self.costs else None,
        )
        if not self._rolling:
            return tokens
        memory.unfinished = tokens[:, 1:]
        return tokens[:, :1]

    def _bend(self, tokens: Tensor) -> Tensor:
        actions = self._codec.decode_actions(tokens)
        better = bent(self.costs, actions.flatten(1, 2), 1e-9 * self.spec.period_ns)
        return self._codec.with_actions(tokens, better.reshape(actions.shape))

    def _choose(self, plans: Tensor) -> int:
        """The densest of the plans; with costs, of the better half of them."""
        rows = plans[..., ~self._seen].flatten(1)
        if not self.costs:
            return densest(rows)
        actions = self._codec.decode_actions(plans).flatten(1, 2)
        by_cost = total(self.costs, actions, 1e-9 * self.spec.period_ns).argsort()
        better = by_cost[: (len(rows) + 1) // 2]
        return int(better[densest(rows[better])])

    def _token(self, observation: Observation, executed: Sequence[Action]) -> Tensor:
        wanted = self.every if self._calls else 0
        if len(executed) != wanted:
            raise DfPolicyError(
                f"expected the {self.every} actions sent since the last plan, or none at the "
                f"start of an episode, got {len(executed)}"
            )
        if not self._calls:
            self._sent.extend([observation.hold()] * self.chunk)
        actions = self._rows([*self._sent, *executed][-self.chunk :])[None]
        earlier = None
        if self._codec.frames == 2:
            before = observation.before if executed else observation
            if before is None:
                raise DfPolicyError(
                    "expected what was seen one action before, for a policy of two frames, "
                    "got nothing: it was lost, or whoever calls the policy does not keep it"
                )
            earlier = self._encoded(before)
        return self._codec.encode(*self._encoded(observation), actions, earlier)

    def _given(self, committed: Sequence[Action]) -> Given | None:
        if not committed:
            return None
        most = self.horizon * self.chunk
        return Given(*self._codec.committed(self._rows(committed[:most]), self.horizon))

    def _rows(self, actions: Sequence[Action]) -> Tensor:
        rows = np.stack([action.row() for action in actions])
        if not np.isfinite(rows).all():
            raise DfPolicyError("expected finite actions, got NaN or infinity")
        return torch.from_numpy(rows).float().to(self._device)

    def _encoded(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Latents and proprioception of one frame, each with an axis for the batch."""
        here = observation.hold().row()
        if not np.isfinite(here).all():
            raise DfPolicyError("expected finite poses, got NaN or infinity")
        proprioception = torch.from_numpy(here).float().to(self._device)[None]
        return self._codec.latents(self._images(observation)), proprioception

    def _images(self, observation: Observation) -> dict[str, Tensor]:
        images = {}
        for name, (height, width) in self.spec.cameras.items():
            image = observation.images.get(name)
            if image is None:
                seen = ", ".join(sorted(observation.images)) or "none"
                raise DfPolicyError(f"camera {name!r} is missing; the observation has: {seen}")
            if image.shape != (height, width, 3):
                raise DfPolicyError(
                    f"camera {name!r}: expected an image of {(height, width, 3)}, "
                    f"got {image.shape}; set the camera, or train on its images"
                )
            images[name] = torch.from_numpy(image)[None].to(self._device)
        return images

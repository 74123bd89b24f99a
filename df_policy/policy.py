"""The policy at run time: remember each token, then sample what to do next."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from df_policy import checkpoint, traces
from df_policy.checkpoint import Checkpoint
from df_policy.choice import choose, preference
from df_policy.config import SamplerConfig
from df_policy.costs import Cost
from df_policy.device import has_bfloat16, pick
from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Observation
from df_policy.geometry import Pose
from df_policy.imagination import Latents, Pictures, roll_out
from df_policy.memory import Memory
from df_policy.noise import NoiseSchedule
from df_policy.plan import Plan, Trace
from df_policy.robot import RobotSpec
from df_policy.sampler import Given, sample
from df_policy.schedule import CARRIED, matrices
from df_policy.sight import Sight, ages_ns
from df_policy.trust import Trust, level_of_belief


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
        self._denoiser.predict_in(self.precision, self.sampler.samples)
        diffusion = trained.config.diffusion
        self._schedule = NoiseSchedule(diffusion.levels, diffusion.schedule, self._device)
        self._matrix, self._carried = matrices(self.sampler, diffusion.levels)
        self._period_s = 1e-9 * self.spec.period_ns
        self._generator = torch.Generator(self._device)
        self.costs: tuple[Cost, ...] = ()
        """What plans are judged and bent by; may be set at any time between two calls."""
        self._trained = trained
        self._sight = Sight(self._codec, self.spec, self._device)
        self._trust = Trust(trained) if self.sampler.trust != "always" else None
        uncertainty = trained.about.get("uncertainty", {})
        network = (self._denoiser, self._schedule, self._codec)
        self._memories = [
            Memory(*network, self.sampler, uncertainty, self._generator)
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
        self._sent: deque[Float64[np.ndarray, "10"]] = deque(maxlen=self.chunk)

    @torch.inference_mode()
    def plan(
        self,
        observation: Observation,
        executed: Sequence[Action],
        committed: Sequence[Action] = (),
    ) -> Plan:
        """Remember this token, then sample `horizon` tokens that follow it.

        Several plans are drawn, of which one is returned; see `choice`.

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
        known = [action.row() for action in committed[: self.horizon * self.chunk]]
        given = self._sight.given(known, self.horizon)
        memory, trust = self._remember(observation, executed)
        ahead = self._sample(memory, given)
        chosen = choose(self._codec, ahead, self.costs, self._period_s, self.sampler.choice)
        memory.foreseen = ahead[chosen, :1]
        actions = self._codec.decode_actions(ahead[chosen]).flatten(0, 1)
        return Plan(
            start_ns=observation.stamp_ns,
            period_ns=self.spec.period_ns,
            actions=actions.double().cpu().numpy(),
            observed_ns=observation.stamp_ns,
            trust=trust,
            foreseen=self._latents(ahead[chosen]),
        )

    def _sample(self, memory: Memory, given: Given | None) -> Tensor:
        """The finished tokens of `samples` plans."""
        denoiser, known = memory.known(self.sampler.samples)
        matrix, begin, width = self._matrix, None, self._codec.width
        if memory.unfinished is not None:
            matrix, begin = self._carried, self._carry(memory.unfinished)
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
            preference(self._codec, self.costs, self._period_s),
        )
        if self.sampler.matrix not in CARRIED:
            return tokens
        memory.unfinished = tokens[:, 1:]
        return tokens[:, :1]

    def _carry(self, left: Tensor) -> Tensor:
        """What a plan left partly denoised, as the next one begins with it: a token more."""
        shape = (len(left), self.horizon, left.shape[-1])
        noise = torch.randn(shape, generator=self._generator, device=self._device)
        rows = (self._carried[-1, 1:], self._carried[0, :-1])
        levels, to = (torch.from_numpy(r).to(self._device).expand(len(left), -1) for r in rows)
        raised = self._schedule.raised(left, noise[:, :-1], levels, to)
        return torch.cat([raised, noise[:, -1:]], dim=1)

    @torch.inference_mode()
    def remember(self, observation: Observation, executed: Sequence[Action]) -> None:
        """Remember this token as `plan` does, and make no plan.

        Raises:
            DfPolicyError: as `plan`.
        """
        memory, _ = self._remember(observation, executed)
        memory.unfinished = None  # it begins with a token that has gone by

    def trace(self) -> Trace:
        """What the last call left behind."""
        token = self._memories[(self._calls - 1) % len(self._memories)].newest
        if token is None:
            return Trace(b"", b"")
        each = tuple(enumerate(self._memories))
        foreseen = {n: m.foreseen for n, m in each if m.foreseen is not None}
        unfinished = {n: m.unfinished for n, m in each if m.unfinished is not None}
        sent, state = torch.from_numpy(np.stack(list(self._sent))), self._generator.get_state()
        return traces.pack(token, traces.Rest(self._calls, sent, state, foreseen, unfinished))

    @torch.inference_mode()
    def recall(self, tokens: Sequence[bytes], rest: bytes) -> None:
        """Go on where another policy of the same checkpoint was, bit for bit.

        Args:
            tokens: what it handed back call by call; where the first are missing, they are
                forgotten.
            rest: what it handed back last.

        Raises:
            DfPolicyError: if they are none of this checkpoint's.
        """
        remembered, state = traces.unpack(tokens, rest, self._device)
        try:
            self.reset(0)
            self._calls = state.calls
            for call, token in enumerate(remembered, state.calls - len(remembered)):
                self._memories[call % len(self._memories)].take(token)
            for number, x in state.foreseen.items():
                self._memories[number].foreseen = x
            for number, x in state.unfinished.items():
                self._memories[number].unfinished = x
            self._generator.set_state(state.generator)
        except (IndexError, RuntimeError) as error:
            raise DfPolicyError(
                f"expected what a policy of this checkpoint remembered, got another's: {error}"
            ) from error
        self._sent.extend(state.sent.numpy())

    def _remember(
        self, observation: Observation, executed: Sequence[Action]
    ) -> tuple[Memory, dict[str, float]]:
        """The memory whose turn it is, after this token, and how far each camera was believed."""
        token = self._token(observation, executed)
        trust = dict.fromkeys(self.spec.cameras, 1.0)
        if self._trust is not None:
            images, latents = self._sight.images(observation), self._codec.decode_latents(token)
            trust = self._trust.beliefs(images, latents, ages_ns(observation))
        memory = self._memories[self._calls % len(self._memories)]
        memory.read(token, {n: level_of_belief(s, self._schedule) for n, s in trust.items()})
        memory.foreseen = None
        self._sent.extend(action.row() for action in executed)
        self._calls += 1
        return memory, trust

    def _token(self, observation: Observation, executed: Sequence[Action]) -> Tensor:
        wanted = self.every if self._calls else 0
        if len(executed) != wanted:
            raise DfPolicyError(
                f"expected the {self.every} actions sent since the last plan, or none at the "
                f"start of an episode, got {len(executed)}"
            )
        if not self._calls:
            self._sent.extend([observation.hold().row()] * self.chunk)
        rows = [*self._sent, *(action.row() for action in executed)]
        before = observation.before if executed else observation
        return self._sight.token(observation, before, rows[-self.chunk :])

    def pictures(self, plan: Plan) -> dict[str, Pictures]:
        """The images that a plan foresees; see `plan.Imagines`.

        Raises:
            DfPolicyError: if the checkpoint has no decoders.
        """
        return self._trained.need_imagination().images(plan.foreseen)

    @torch.inference_mode()
    def imagine(
        self, tokens: int, seed: int = 0, level: int = 0, samples: int = 1
    ) -> dict[str, Latents]:
        """For each camera latents (n, t, l) of what follows the newest observation.

        Nothing of the policy changes.

        Args:
            tokens: how many, each imagined from those before it.
            seed: of all randomness.
            level: at which imagined tokens are remembered; see `imagination.roll_out`.
            samples: futures that are imagined.

        Raises:
            DfPolicyError: if its sampler has no memory to go on from.
        """
        generator = torch.Generator(self._device).manual_seed(seed)
        denoiser, known = self._memories[(self._calls - 1) % len(self._memories)].known(samples)
        if not isinstance(known, Tensor):
            raise DfPolicyError("expected sampler.past clean to imagine ahead, got same_level")
        width, steps = self._codec.width, self.sampler.steps
        ahead = roll_out(denoiser, self._schedule, known, tokens, width, steps, generator, level)
        return self._latents(ahead)

    def _latents(self, tokens: Float[Tensor, "*t d"]) -> dict[str, Latents]:
        latents = self._codec.decode_latents(tokens)
        return {name: rows.cpu().numpy() for name, rows in latents.items()}

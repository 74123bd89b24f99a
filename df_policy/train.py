"""From demonstrations to a checkpoint: the encoder first, then the denoiser on its latents.

The encoder is small and learns in minutes; frozen, it turns every frame into a latent once, so
that the recurrent denoiser trains on whole episodes at little cost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from df_policy.augment import augment
from df_policy.batches import Batches
from df_policy.checkpoint import Checkpoint, build_denoiser
from df_policy.config import Config
from df_policy.demonstrations import Demonstrations
from df_policy.device import has_bfloat16, pick
from df_policy.encoder import EncoderTask, InputMemory
from df_policy.errors import DfPolicyError
from df_policy.fit import Fit, Losses
from df_policy.fit_config import FitConfig
from df_policy.grips import Lying
from df_policy.held_out import foretold, held_out_error, uncertainty, usual_unexplained
from df_policy.imagination import Imagination
from df_policy.loss import sequence_loss
from df_policy.mirror import with_mirrored
from df_policy.network import Denoiser
from df_policy.noise import NoiseSchedule
from df_policy.normalize import Normalizer
from df_policy.sharing import ALONE, Share
from df_policy.stopwatch import Stopwatch
from df_policy.tokens import ACTION_FLOOR, TokenCodec

M = TypeVar("M", bound=nn.Module)
Rows = Int64[np.ndarray, "b"]


class StoppedError(Exception):
    """Training was asked to stop; its state is saved, and running again continues it."""


@dataclass(frozen=True)
class Hooks:
    """How a run speaks to whoever started it; nothing here changes the result."""

    on_step: Callable[[str, int, int, dict[str, float]], None] = lambda *_: None
    """Stage, steps done, steps in all, losses."""
    on_checkpoint: Callable[[int, dict[str, float]], None] = lambda *_: None
    """Policy steps done, held-out figures; the run folder holds that checkpoint now."""
    stop: threading.Event = field(default_factory=threading.Event)
    share: Share = ALONE
    """This process among those that train together; the first one alone writes."""


class Training:
    """One run: its data on the device, its state in the run folder."""

    def __init__(
        self,
        data: Demonstrations,
        config: Config,
        folder: Path,
        about: dict[str, Any],
        hooks: Hooks,
    ) -> None:
        """A run that continues whatever state `folder` holds.

        Args:
            data: the recording.
            config: all settings.
            folder: for the checkpoint and, under `state/`, for what a resumed run needs.
            about: what the checkpoint will say of its origin.
            hooks: how to report and to be stopped.
        """
        self.device = pick(config.run.device)
        torch.set_num_threads(config.run.threads)
        data = check(data, config)
        self.config, self.folder, self.hooks = config, folder, hooks
        self.about = about | {"episodes": len(data.ends), "frames": len(data.action)}
        self._inputs = InputMemory(self.device)
        self.watch = Stopwatch(folder / "state" / "minutes.txt")
        self.train_part, self.held_out = data.split(config.run.validation, config.run.seed)
        if config.run.mirror:
            data, self.train_part = with_mirrored(data, self.train_part)
        self.data = data
        proprioception, floor = data.proprioception(), np.array(ACTION_FLOOR)
        self.proprioception = self._tensor(proprioception)
        self.actions = self._tensor(data.action)
        self.frames = self.train_part.frames()
        seen, done = proprioception[self.frames], data.action[self.frames]
        self.proprioception_norm = Normalizer.fit(seen, floor).to(self.device)
        self.action_norm = Normalizer.fit(done, floor).to(self.device)

    def run(self) -> Checkpoint:
        """Train what is not trained yet.

        Raises:
            StoppedError: if `hooks.stop` was set; the state is saved.
        """
        task = self._fit_encoder()
        latents = self._all_latents(task.encoders)
        codec = self._codec(task.encoders, latents)
        imagination = Imagination(task.decoders)
        self.about["unexplained"] = usual_unexplained(codec, imagination, self.held_out)
        return self._fit_denoiser(codec, imagination, latents)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(self.device)

    def _images(self, camera: str, rows: Rows) -> Tensor:
        """As the encoder reads them; they hold until more of this camera are asked for."""
        return self._inputs(camera, torch.from_numpy(self.data.images[camera][rows]))

    def _fit(
        self,
        stage: str,
        module: M,
        loss: Callable[[M, torch.Generator], Losses],
        config: FitConfig,
        on_save: Callable[[Fit[M]], None],
    ) -> Fit[M]:
        """Optimise `module`, from its saved state if there is one."""
        run = self.config.run
        module.to(self.device)
        generator = torch.Generator(self.device).manual_seed(run.seed)
        state = self.folder / "state" / f"{stage}.safetensors"
        precision: str = run.precision
        if precision == "auto":
            precision = "bf16" if has_bfloat16(self.device) else "fp32"
        fit = Fit(module, loss, config, generator, precision, self.hooks.share)
        if state.exists():
            fit.load(state)
        while fit.step < config.steps:
            losses = fit.advance()
            self.hooks.on_step(stage, fit.step, config.steps, losses)
            stop = self.hooks.share.any(self.hooks.stop.is_set(), self.device)
            due = stop or fit.step % run.save_every == 0 or fit.step == config.steps
            if due and self.hooks.share.first:
                fit.save(state)
                self.watch.lap()
                on_save(fit)
            if due:
                self.hooks.share.wait()  # whoever goes on from it finds it
            if stop and fit.step < config.steps:
                raise StoppedError
        return fit

    def _fit_encoder(self) -> EncoderTask:
        config, spec = self.config.encoder_fit, self.data.spec
        torch.manual_seed(self.config.run.seed)
        numbers = config.imitate * self.action_norm.width
        width = self.proprioception_norm.width
        located = Lying.of if config.location_weight > 0.0 else Lying.nowhere
        lying = located(self.train_part)
        places, there = (t.to(self.device) for t in lying.normalised())
        task = EncoderTask(spec.cameras, width, numbers, lying.most, self.config.encoder)
        seen, told = self.proprioception_norm(self.proprioception), self.action_norm(self.actions)
        frames = self.frames
        ends = np.repeat(self.train_part.ends, self.train_part.ends - self.train_part.starts)
        some = frames[:: max(1, len(frames) // 1000)]
        mean_images = {
            camera: nn.functional.avg_pool2d(self._images(camera, some).mean(0, keepdim=True), 2)
            for camera in spec.cameras
        }

        def loss(module: EncoderTask, generator: torch.Generator) -> Losses:
            pick = _draw(len(frames), config.batch, generator)
            rows = frames[pick]
            ahead = np.minimum(rows[:, None] + np.arange(config.imitate), ends[pick, None] - 1)
            images = {camera: self._images(camera, rows) for camera in spec.cameras}
            actions = told[torch.from_numpy(ahead)].flatten(1)
            changed = {
                camera: augment(image, config.augment, generator, config.relight)
                for camera, image in images.items()
            }
            at = torch.from_numpy(rows)
            known, lie = seen[at], (places[at], there[at])
            losses = module.loss(
                changed, images, mean_images, known, actions, lie, config.salience
            )
            weights = {
                "reconstruction": config.reconstruction_weight,
                "location": config.location_weight,
            }
            total = torch.stack([weights.get(name, 1.0) * of for name, of in losses.items()]).sum()
            return {"loss": total} | losses

        fit = self._fit("encoder", task, loss, config, lambda _: None)
        return fit.averaged().requires_grad_(False)

    @torch.no_grad()
    def _all_latents(self, encoders: nn.ModuleDict) -> Float[Tensor, "n l"]:
        """Every frame through every encoder, once."""
        count, cameras = len(self.data.action), sorted(self.data.spec.cameras)
        width = self.config.encoder.latent
        # Made beforehand: many small results, kept among large ones that pass, would scatter over
        # memory until nothing large fits in between.
        latents = torch.empty(count, len(cameras) * width, device=self.device)
        for begin in range(0, count, 512):
            rows = np.arange(begin, min(begin + 512, count))
            for number, camera in enumerate(cameras):
                here = latents[begin : begin + len(rows), number * width : (number + 1) * width]
                here.copy_(encoders[camera](self._images(camera, rows)))
        return latents

    def _codec(self, encoders: nn.ModuleDict, latents: Float[Tensor, "n l"]) -> TokenCodec:
        seen = np.concatenate([latents.cpu().numpy(), self.data.proprioception()], axis=1)
        floor = np.concatenate([np.full(latents.shape[1], 1e-6), ACTION_FLOOR])
        observation = Normalizer.fit(seen[self.frames], floor)
        codec = TokenCodec(self.data.spec, self.config, observation, self.action_norm)
        codec.encoders.load_state_dict(encoders.state_dict())
        codec.to(self.device).eval().requires_grad_(False)
        return codec

    def _fit_denoiser(
        self, codec: TokenCodec, imagination: Imagination, latents: Float[Tensor, "n l"]
    ) -> Checkpoint:
        config = self.config
        torch.manual_seed(config.run.seed)
        schedule = NoiseSchedule(config.diffusion.levels, config.diffusion.schedule, self.device)
        weight = codec.weight().to(self.device)
        prefixes = codec.prefixes().to(self.device)
        batches = Batches(self.train_part, codec, latents, config, self.device)

        def loss(module: Denoiser, generator: torch.Generator) -> Losses:
            batch = batches.draw(generator)
            tokens = (batch.read, batch.real, weight)
            value = sequence_loss(
                module, schedule, *tokens, config.diffusion, generator, prefixes, batch.free
            )
            return {"loss": value}

        known = Batches(self.held_out, codec, latents, config, self.device).whole()
        x, real = known.read, known.real

        def checkpoint(fit: Fit[Denoiser]) -> Checkpoint:
            denoiser = fit.averaged()
            told = foretold(denoiser, schedule, x, config.sampler)
            error = held_out_error(codec, x, real, told)
            about = self.about | {"step": fit.step, "precision": fit.precision, "held_out": error}
            about |= {"uncertainty": uncertainty(codec, x, real, told)}
            about |= {"minutes": round(self.watch.minutes, 2)}
            return Checkpoint(config, self.data.spec, codec, denoiser, about, imagination)

        newest: Checkpoint | None = None

        def publish(fit: Fit[Denoiser]) -> None:
            nonlocal newest
            newest = checkpoint(fit)
            newest.save(self.folder)
            every = config.run.keep_every
            if every and fit.step % every == 0:
                newest.save(kept(self.folder, fit.step))
            self.hooks.on_checkpoint(fit.step, newest.about["held_out"])

        network = build_denoiser(codec, config)
        fit = self._fit("policy", network, loss, config.policy_fit, publish)
        if newest is None:  # a run that was complete: its checkpoint may lack what is kept by now
            newest = checkpoint(fit)
            newest.save(self.folder)
        return newest


def kept(run: Path, step: int) -> Path:
    """Where the checkpoint of a step is kept, if it is."""
    return run / "checkpoints" / f"step_{step}"


def check(data: Demonstrations, config: Config) -> Demonstrations:
    """The demonstrations that a run uses, if it can.

    Training reads each episode from its start: what a window does not reach is never learnt.

    Raises:
        DfPolicyError: if there are too few, or an episode is longer than the window.
    """
    data = data.first(config.run.episodes)
    data.split(config.run.validation, config.run.seed)
    token, longest = config.token, int((data.ends - data.starts).max())
    needed = -(-longest // token.chunk)
    if token.window < needed:
        raise DfPolicyError(
            f"expected token.window of at least {needed} for episodes of {longest} actions in "
            f"chunks of {token.chunk}, got {token.window}"
        )
    return data


def _draw(below: int, count: int, generator: torch.Generator) -> Rows:
    drawn = torch.randint(below, (count,), generator=generator, device=generator.device)
    return drawn.cpu().numpy()

"""A trained policy on disk: safetensors and JSON, nothing that runs code when it is opened."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from df_policy.attention import AttentionDenoiser
from df_policy.config import Config, from_json, to_json
from df_policy.encoder import decoders_for
from df_policy.errors import DfPolicyError, nearest
from df_policy.files import write_atomically, write_text
from df_policy.imagination import Imagination
from df_policy.network import Denoiser, RecurrentDenoiser
from df_policy.normalize import Normalizer
from df_policy.robot import RobotSpec
from df_policy.tokens import TokenCodec

FORMAT = 3
"""Above 1 the memory is told a level for each camera; above 2 a prediction what is given."""
WEIGHTS, ABOUT = "model.safetensors", "checkpoint.json"
SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Checkpoint:
    """A policy: how to make tokens, what to do with them, and for which robot."""

    config: Config
    spec: RobotSpec
    codec: TokenCodec
    denoiser: Denoiser
    about: dict[str, Any]
    """Where it comes from: data, step, seed, versions, scores."""
    imagination: Imagination | None = None
    """What draws its latents; checkpoints of before have none."""

    def need_imagination(self) -> Imagination:
        """What draws its latents.

        Raises:
            DfPolicyError: if there is nothing of the kind.
        """
        if self.imagination is None:
            raise DfPolicyError(
                "expected a checkpoint with decoders, got one of before they were kept: it cannot "
                "imagine; give its train command again with --resume, which adds them"
            )
        return self.imagination

    def save(self, folder: Path, precision: torch.dtype = torch.float32) -> None:
        """Write both files, each at once; a reader in between sees one of the two new.

        Args:
            folder: made if it is not there.
            precision: of the stored weights; statistics are always stored in float32.
        """
        statistics = ("mean", "scale", "varies")
        parts: dict[str, nn.Module] = {"codec": self.codec, "denoiser": self.denoiser}
        if self.imagination is not None:
            parts["imagination"] = self.imagination
        tensors = {
            f"{part}.{name}": (
                value if name.endswith(statistics) else value.to(precision)
            ).contiguous()
            for part, module in parts.items()
            for name, value in module.state_dict().items()
        }
        write_atomically(folder / WEIGHTS, lambda path: save_file(tensors, path))
        about = {
            "format": FORMAT,
            "config": to_json(self.config),
            "robot": dataclasses.asdict(self.spec),
            "about": self.about,
        }
        write_text(folder / ABOUT, json.dumps(about, indent=2) + "\n")


def build_denoiser(codec: TokenCodec, config: Config) -> Denoiser:
    """An untrained network for the codec's tokens."""
    kind = AttentionDenoiser if config.network.memory == "attention" else RecurrentDenoiser
    return kind(
        codec.width,
        config.diffusion.levels,
        config.network,
        remembered=codec.is_observation(),
        predicted=codec.weight() > 0.0,
        parts=codec.parts(),
    )


def shipped() -> tuple[str, ...]:
    """Names of the weights that come with the package."""
    if not SHIPPED.is_dir():
        return ()
    return tuple(sorted(p.name for p in SHIPPED.iterdir() if (p / ABOUT).is_file()))


def find(path_or_name: str) -> Path:
    """The folder of a run, or of shipped weights.

    Raises:
        DfPolicyError: if it is neither.
    """
    path = Path(path_or_name)
    if (path / ABOUT).is_file() and (path / WEIGHTS).is_file():
        return path
    names = shipped()
    if path_or_name in names:
        return SHIPPED / path_or_name
    if path.is_dir():
        raise DfPolicyError(
            f"{path} holds no checkpoint: expected {WEIGHTS} and {ABOUT}; "
            "if a training is under way, wait for its first save"
        )
    hint = nearest(path_or_name, names)
    raise DfPolicyError(
        f"no checkpoint {path_or_name!r}: expected a run folder with {ABOUT}, "
        f"or one of the shipped weights: {', '.join(names) or 'none'}{hint}"
    )


def load(path_or_name: str, device: str | torch.device = "cpu") -> Checkpoint:
    """Read a checkpoint.

    Raises:
        DfPolicyError: if it is missing, damaged or of another version.
    """
    folder = find(path_or_name)
    try:
        about = json.loads((folder / ABOUT).read_text())
        if about["format"] not in (FORMAT, 2):
            raise DfPolicyError(
                f"{folder} has checkpoint format {about['format']}, this version reads {FORMAT}: "
                "train again or install the version that wrote it"
            )
        config, spec = from_json(about["config"]), RobotSpec.from_json(about["robot"])
        origin = dict(about["about"])
        tensors = load_file(folder / WEIGHTS, device=str(device))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        raise DfPolicyError(f"{folder} is damaged: {error}; copy or train it again") from error

    if about["format"] == 2:
        _never_given(tensors)

    def normalizer(name: str) -> Normalizer:
        parts = (tensors[f"codec.{name}.{part}"] for part in ("mean", "scale", "varies"))
        return Normalizer(*parts)

    try:
        codec = TokenCodec(spec, config, normalizer("observation"), normalizer("action"))
        denoiser = build_denoiser(codec, config)
        codec.load_state_dict(_under("codec.", tensors))
        denoiser.load_state_dict(_under("denoiser.", tensors))
        imagination = _imagination(spec, config, _under("imagination.", tensors))
    except (KeyError, RuntimeError) as error:
        raise DfPolicyError(
            f"{folder}: the weights do not fit their configuration ({_first_of(error)}); copy it "
            "again, or train again with this version"
        ) from error
    codec.to(device).eval().requires_grad_(False)
    denoiser.to(device).eval().requires_grad_(False)
    if imagination is not None:
        imagination.to(device).eval().requires_grad_(False)
    return Checkpoint(config, spec, codec, denoiser, origin, imagination)


def _imagination(
    spec: RobotSpec, config: Config, tensors: dict[str, torch.Tensor]
) -> Imagination | None:
    if not tensors:
        return None
    imagination = Imagination(decoders_for(spec.cameras, config.encoder))
    imagination.load_state_dict(tensors)
    return imagination


def _never_given(tensors: dict[str, torch.Tensor]) -> None:
    """Make weights of format 2 deaf to what is given, which they never met."""
    enter = tensors["denoiser.enter.weight"]
    tensors["denoiser.enter.weight"] = torch.cat([enter, torch.zeros_like(enter)], dim=1)


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _first_of(error: Exception) -> str:
    """The first thing that torch complains of: its whole list would fill the screen."""
    lines = [line.strip() for line in str(error).splitlines()]
    return lines[1] if len(lines) > 1 else lines[0]


def check_robot(trained: RobotSpec, robot: RobotSpec) -> None:
    """Refuse a robot that the policy was not trained on.

    Raises:
        DfPolicyError: naming each thing that differs.
    """
    wrong = []
    for name in ("joint_names", "cameras", "action_rate_hz"):
        expected, got = getattr(trained, name), getattr(robot, name)
        if name == "cameras":
            expected, got = dict(sorted(expected.items())), dict(sorted(got.items()))
        if expected != got:
            wrong.append(f"{name}: the policy expects {expected}, the robot has {got}")
    if wrong:
        raise DfPolicyError(
            "the checkpoint does not match the robot; "
            + "; ".join(wrong)
            + "; use a checkpoint trained on this robot's recordings"
        )

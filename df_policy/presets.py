"""Settings by name: the policy, and the baselines and ablations that it is compared with.

All of them are trained by the same trainer on the same recordings, with the same encoder, number
of steps and, to 5 %, number of parameters; each differs from `fruit_swap` in what it isolates.
"""

from __future__ import annotations

from df_policy.config import (
    Config,
    DiffusionConfig,
    EncoderConfig,
    NetworkConfig,
    SamplerConfig,
    TokenConfig,
)
from df_policy.errors import DfPolicyError, nearest
from df_policy.fit_config import EncoderFitConfig, PolicyFitConfig, RunConfig


def _tiny() -> Config:
    return Config(
        encoder=EncoderConfig(latent=8, channels=(8, 8, 8)),
        network=NetworkConfig(memory_width=32, embedding_width=32, width=32, blocks=1),
        encoder_fit=EncoderFitConfig(steps=20, batch=8),
        policy_fit=PolicyFitConfig(steps=20, batch=4),
        run=RunConfig(save_every=10, evaluate_every=0, validation=0.5, precision="fp32"),
    )


def _attention(block: int = 1) -> NetworkConfig:
    return NetworkConfig("attention", embedding_width=192, block=block)


PRESETS: dict[str, Config] = {
    # The policy: a level of its own for each token, a recurrent memory. Chen et al. 2024
    # (arXiv:2407.01392).
    "fruit_swap": Config(),
    # For fruits, light and cameras that are elsewhere each time.
    "fruit_swap_anywhere": Config(
        encoder=EncoderConfig("keypoints", latent=48),
        token=TokenConfig(window=30),
        encoder_fit=EncoderFitConfig(location_weight=5.0, learning_rate=2e-3, augment=0.4),
    ),
    # Isolates memory: it sees the newest observation alone. Diffusion Policy, Chi et al. 2023
    # (arXiv:2303.04137), with one observation.
    "fruit_swap_memoryless": Config(network=NetworkConfig(memory="last_observation")),
    # Isolates memory from motion: two frames 0.1 s apart tell where things move, not what was.
    # Diffusion Policy as published, with its two observations.
    "fruit_swap_memoryless_two": Config(
        token=TokenConfig(frames=2), network=NetworkConfig(memory="last_observation")
    ),
    # Isolates levels of their own: the memory reads clean tokens alone (the posterior pass), one
    # noised token is predicted from it, and tokens are finished one after another. The next-frame
    # diffusion baseline with teacher forcing of arXiv:2407.01392, section 4.
    "fruit_swap_next_frame": Config(
        diffusion=DiffusionConfig(clean_history=1.0, history_noise=0.0, doubt=0.0, forget=0.0),
        sampler=SamplerConfig(matrix="autoregressive"),
    ),
    # Isolates levels of their own from the other side: one level for a whole sequence, read by the
    # memory too. The causal full-sequence diffusion baseline of arXiv:2407.01392, section 4. It
    # never met a clean past beside a noisy present, so a plan reads the past noised to its own
    # level: replacement, Song et al. 2021 (arXiv:2011.13456) appendix I.2. Fresh noise in each
    # step lets a plan mend what does not fit that past; more steps help it no further.
    "fruit_swap_shared_level": Config(
        diffusion=DiffusionConfig(shared_level=True, doubt=0.0, forget=0.0, commit=0.0),
        sampler=SamplerConfig(matrix="full_sequence", past="same_level", eta=1.0),
    ),
    # Isolates the prediction of observations: actions alone are predicted, and planning ahead the
    # memory is told of actions alone. What most imitation policies with a memory do.
    "fruit_swap_actions_only": Config(diffusion=DiffusionConfig(observation_weight=0.0)),
    # Isolates the kind of memory: a window of tokens in place of a state. The causal transformer
    # of the second release of arXiv:2407.01392.
    "fruit_swap_attention": Config(network=_attention()),
    # Isolates causality: as above, but the two tokens of a plan see one another. That release's
    # switch. A sequence that is clean throughout would have nothing to predict.
    "fruit_swap_attention_noncausal": Config(
        network=_attention(block=2), diffusion=DiffusionConfig(clean_history=0.0)
    ),
    # For tests.
    "tiny": _tiny(),
}


def preset(name: str) -> Config:
    """The preset called `name`.

    Raises:
        DfPolicyError: if there is none; the nearest name is suggested.
    """
    if name in PRESETS:
        return PRESETS[name]
    known = ", ".join(PRESETS)
    raise DfPolicyError(
        f"unknown preset {name!r}: expected one of {known}{nearest(name, PRESETS)}"
    )

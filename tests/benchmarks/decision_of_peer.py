"""Times decisions of another project; `decision_peers.py` starts it with that project's Python."""

import json
import sys
import time
from types import SimpleNamespace

import torch

DECISIONS = {"release": 6, "lerobot": 1}
"""One of LeRobot's takes a minute."""


def release(folder):
    """The sampler of Diffusion Forcing's first release, as `df_robot.yaml` sets it."""
    sys.path.insert(0, f"{folder}/algorithms/diffusion_forcing")  # not what needs Lightning
    from models.diffusion_transition import DiffusionTransitionModel

    settings = SimpleNamespace(
        network_size=32, beta_schedule="cosine", objective="pred_x0", use_snr=False,
        use_cum_snr=False, snr_clip=5.0, cum_snr_decay=0.9, timesteps=1000, self_condition=False,
        ddim_sampling_eta=0.0, p2_loss_weight_gamma=0, p2_loss_weight_k=1, schedule_fn_kwargs={},
        sampling_timesteps=25, mask_unet=False, num_gru_layers=1, num_mlp_layers=0,
        return_all_timesteps=False, clip_noise=6.0,
    )  # fmt: skip
    model = DiffusionTransitionModel([21, 32, 32], [32, 32, 32], 0, settings).eval()
    seen, memory = torch.randn(1, 21, 32, 32), torch.zeros(1, 32, 32, 32)

    def decide():
        after, *_ = model(memory, seen, None, deterministic_t=0)
        return model.rollout(after, None)

    return decide


def lerobot(_folder):
    """LeRobot's diffusion policy at its defaults."""
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

    image = PolicyFeature(FeatureType.VISUAL, (3, 96, 96))
    numbers = PolicyFeature(FeatureType.STATE, (10,))
    cameras = ("observation.images.front", "observation.images.wrist")
    config = DiffusionConfig(
        input_features=dict.fromkeys(cameras, image) | {"observation.state": numbers},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (10,))},
        device="cpu",
        pretrained_backbone_weights=None,  # what is random costs the same
    )
    policy = DiffusionPolicy(config).eval()
    batch = {name: torch.rand(1, 3, 96, 96) for name in cameras}
    batch["observation.state"] = torch.randn(1, 10)

    def decide():
        policy.reset()
        return policy.select_action(batch)

    return decide


def main():
    """Print the milliseconds of each decision."""
    torch.set_num_threads(1)
    decide = {"release": release, "lerobot": lerobot}[sys.argv[1]](sys.argv[2])
    taken = []
    with torch.inference_mode():
        for _ in range(DECISIONS[sys.argv[1]]):
            begin = time.perf_counter()
            decide()
            taken.append(1e3 * (time.perf_counter() - begin))
    sys.stdout.write(json.dumps(taken) + "\n")


if __name__ == "__main__":
    main()

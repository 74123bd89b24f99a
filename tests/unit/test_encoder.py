"""The encoder task learns what its losses ask for."""

import pytest
import torch

from df_policy.config import EncoderConfig
from df_policy.encoder import CellEncoder, EncoderTask, InputMemory, as_input

CONFIG = EncoderConfig(latent=8, channels=(8, 8, 8))


def test_images_are_centred():
    images = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2, 1).expand(1, 1, 2, 3)
    assert as_input(images).unique().tolist() == [-0.5, 0.5]


def test_memory_that_is_used_again_gives_the_very_same_inputs():
    inputs, generator = InputMemory(torch.device("cpu")), torch.Generator().manual_seed(0)
    places = set()
    for count in (5, 3, 5):
        images = torch.randint(256, (count, 32, 48, 3), dtype=torch.uint8, generator=generator)
        found = inputs("front", images)
        assert torch.equal(found, as_input(images))
        places.add(found.data_ptr())
    assert len(places) == 1
    larger = inputs("front", torch.zeros(2, 64, 48, 3, dtype=torch.uint8))
    assert larger.shape == (2, 3, 64, 48)


def test_a_latent_has_its_width_and_the_size_must_fit():
    assert CellEncoder(32, 48, CONFIG)(torch.zeros(5, 3, 32, 48)).shape == (5, 8)
    with pytest.raises(ValueError, match="divisible by 16"):
        CellEncoder(30, 48, CONFIG)


def task_for(proprioception, action_numbers, things):
    torch.manual_seed(0)
    return EncoderTask({"front": (16, 16)}, proprioception, action_numbers, things, CONFIG)


def test_all_losses_fall_on_a_fixed_batch():
    task = task_for(proprioception=2, action_numbers=4, things=3)
    images = {"front": torch.rand(12, 3, 16, 16) - 0.5}
    mean = {"front": torch.nn.functional.avg_pool2d(images["front"].mean(0, keepdim=True), 2)}
    seen, told = torch.randn(12, 2), torch.randn(12, 4)
    lying = torch.randn(12, 3, 3), torch.ones(12, 3)
    optimizer = torch.optim.Adam(task.parameters(), 3e-3)
    history = []
    for _ in range(80):
        losses = task.loss(images, images, mean, seen, told, lying, salience=6.0)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    for name, share in (("reconstruction", 0.7), ("imitation", 0.3), ("location", 0.3)):
        assert history[-1][name] < share * history[0][name]


def test_nothing_is_located_where_nothing_lies():
    task = task_for(proprioception=2, action_numbers=4, things=0)
    images = {"front": torch.rand(3, 3, 16, 16) - 0.5}
    mean = {"front": torch.zeros(1, 3, 8, 8)}
    none = torch.zeros(3, 0, 3), torch.zeros(3, 0)
    losses = task.loss(images, images, mean, torch.zeros(3, 2), torch.zeros(3, 4), none, 6.0)
    assert set(losses) == {"reconstruction", "imitation"}


def test_salience_makes_unusual_pixels_count_more():
    task = task_for(proprioception=1, action_numbers=1, things=1)
    plain = torch.zeros(4, 3, 16, 16)
    odd = plain.clone()
    odd[..., :4, :4] = 0.5
    mean = {"front": torch.zeros(1, 3, 8, 8)}
    rest = (torch.zeros(4, 1), torch.zeros(4, 1), (torch.zeros(4, 1, 3), torch.zeros(4, 1)))

    def error(images, salience):
        losses = task.loss({"front": images}, {"front": images}, mean, *rest, salience=salience)
        return float(losses["reconstruction"].detach())

    assert error(odd, 6.0) > error(odd, 0.0)
    assert error(plain, 6.0) == error(plain, 0.0)

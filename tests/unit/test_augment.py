"""Images as they might have been: the asked share changes, and stays an image."""

import torch

from df_policy.augment import augment

IMAGES = torch.rand(400, 3, 16, 24, generator=torch.Generator().manual_seed(0)) - 0.5


def changed(share):
    return augment(IMAGES, share, torch.Generator().manual_seed(1))


def test_nothing_changes_where_nothing_is_asked():
    assert changed(0.0) is IMAGES


def test_the_asked_share_changes_and_stays_in_range():
    got = changed(0.4)
    assert got.shape == IMAGES.shape
    assert float(got.min()) >= -0.5
    assert float(got.max()) <= 0.5
    same = (got == IMAGES).flatten(1).all(1).float().mean()
    assert abs(float(same) - 0.6) < 0.1


def test_a_seed_decides():
    assert torch.equal(changed(1.0), changed(1.0))

"""An optimisation that is interrupted ends exactly where an uninterrupted one does."""

import pytest
import torch

from df_policy.errors import DfPolicyError
from df_policy.fit import Fit
from df_policy.fit_config import FitConfig

CONFIG = FitConfig(steps=12, batch=4, warmup=3)


def make(seed=0):
    torch.manual_seed(seed)
    module = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.SiLU(), torch.nn.Linear(8, 1))
    generator = torch.Generator().manual_seed(5)

    def loss(module, generator):
        x = torch.randn(CONFIG.batch, 3, generator=generator)
        return {"loss": ((module(x) - x.sum(-1, keepdim=True)) ** 2).mean()}

    return Fit(module, loss, CONFIG, generator, "fp32")


def weights(fit):
    return [*fit.module.state_dict().values(), *fit.averaged().state_dict().values()]


@pytest.mark.parametrize("stop", [1, 5, 11])
def test_a_resumed_run_is_the_same_run(stop, tmp_path):
    whole = make()
    losses = [whole.advance()["loss"] for _ in range(CONFIG.steps)]
    first = make()
    for _ in range(stop):
        first.advance()
    first.save(tmp_path / "state.safetensors")
    second = make(seed=99)
    second.load(tmp_path / "state.safetensors")
    assert second.step == stop
    assert [second.advance()["loss"] for _ in range(CONFIG.steps - stop)] == losses[stop:]
    for one, other in zip(weights(second), weights(whole), strict=True):
        assert torch.equal(one, other)


def test_the_rate_warms_up_and_decays_to_nothing():
    fit = make()
    rates = [fit.advance()["learning_rate"] for _ in range(CONFIG.steps)]
    assert rates[:3] == pytest.approx(
        [CONFIG.learning_rate * share for share in (1 / 3, 2 / 3, 1)]
    )
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] < 0.1 * CONFIG.learning_rate


def test_the_average_trails_the_weights_and_ends_near_them():
    fit = make()
    start = [p.clone() for p in fit.module.parameters()]
    for _ in range(CONFIG.steps):
        fit.advance()
    for begin, now, mean in zip(
        start, fit.module.parameters(), fit.averaged().parameters(), strict=True
    ):
        assert (begin - now).norm() > (mean - now).norm()


def test_a_loss_that_is_not_finite_stops_the_run():
    fit = make()
    fit.loss = lambda module, _: {"loss": module[0].weight.sum() * float("nan")}
    with pytest.raises(DfPolicyError, match="at step 0"):
        fit.advance()

"""Scheduling matrices: which noise level each token of a plan has before and after each row.

A matrix has one row more than there are rounds of denoising and one column a token. It starts at
pure noise, ends clean, and never rises down a column. What the rows are is what the sampler does:
a policy, a planner and a predictor are matrices of one network.

Source: Chen et al. 2024, Diffusion Forcing (arXiv:2407.01392), section 3.3 and algorithm 2.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from df_policy.config import SamplerConfig
from df_policy.errors import DfPolicyError

NAMES = ("pyramid", "autoregressive", "full_sequence", "rolling", "warm")
Matrix = Int64[np.ndarray, "rows h"]


def levels_of(steps: int, levels: int) -> Int64[np.ndarray, "steps_and_clean"]:
    """The noise level after `steps - i` denoising steps, for i = 0..steps: 0 first, K last.

    Raises:
        ValueError: if there are fewer levels than steps.
    """
    if not 1 <= steps <= levels:
        raise ValueError(f"expected 1 to {levels} denoising steps, got {steps}")
    return np.round(np.linspace(0, levels, steps + 1)).astype(np.int64)


def pyramid(horizon: int, steps: int, levels: int, lag: float = 1.0) -> Matrix:
    """Each later token stays `lag` steps noisier: the near future is settled first.

    Args:
        horizon: tokens in the plan.
        steps: denoising steps a token.
        levels: K, the level of pure noise.
        lag: steps between neighbours; 0 denoises all tokens at once, `steps` one after another.

    Raises:
        ValueError: if a value is below its range.
    """
    if horizon < 1 or lag < 0.0:
        raise ValueError(f"expected horizon >= 1 and lag >= 0, got {horizon} and {lag}")
    behind = np.floor(np.arange(horizon) * lag).astype(np.int64)
    rounds = steps + int(behind[-1])
    left = steps + behind[None, :] - np.arange(rounds + 1)[:, None]
    return np.asarray(levels_of(steps, levels)[np.clip(left, 0, steps)])


def full_sequence(horizon: int, steps: int, levels: int) -> Matrix:
    """All tokens share one level, as a whole-trajectory diffuser does."""
    return pyramid(horizon, steps, levels, lag=0.0)


def autoregressive(horizon: int, steps: int, levels: int) -> Matrix:
    """Each token is finished before the next begins."""
    return pyramid(horizon, steps, levels, lag=float(steps))


def rolling(horizon: int, steps: int, levels: int) -> tuple[Matrix, Int64[np.ndarray, "later h"]]:
    """A pyramid that is walked until its first token is clean, and how it is walked on.

    Without that token, and with one of pure noise at its end, what is left is on a row of the same
    pyramid: a plan that begins a token later needs only the rows from there on. So a round costs
    `steps / horizon` denoisings, rounded up.

    Returns:
        The rows of the first round, and those of each round after it.
    """
    lag = -(-steps // horizon)
    first = pyramid(horizon, steps, levels, float(lag))[: steps + 1]
    return first, first[max(0, steps - lag) :]


def warm(horizon: int, steps: int, levels: int) -> tuple[Matrix, Int64[np.ndarray, "later h"]]:
    """A pyramid that is walked until its first token is clean, and all of it but its first row.

    What is left of the plan before gets so much noise again as that row leaves: of what it says
    of the time to come little more than a guess remains.

    Returns:
        The rows of the first round, and those of each round after it.
    """
    first = pyramid(horizon, steps, levels)[: steps + 1]
    return first, first[min(1, steps - 1) :]


CARRIED = {"rolling": rolling, "warm": warm}
"""Plans of these begin with what the plan before them left."""


def matrix(name: str, horizon: int, steps: int, levels: int, lag: float = 1.0) -> Matrix:
    """The scheduling matrix called `name`.

    Raises:
        ValueError: if there is none of that name.
    """
    if name == "pyramid":
        return pyramid(horizon, steps, levels, lag)
    if name == "full_sequence":
        return full_sequence(horizon, steps, levels)
    if name == "autoregressive":
        return autoregressive(horizon, steps, levels)
    if name in CARRIED:
        return CARRIED[name](horizon, steps, levels)[0]
    raise ValueError(f"expected one of {', '.join(NAMES)}, got {name!r}")


def matrices(sampler: SamplerConfig, levels: int) -> tuple[Matrix, Int64[np.ndarray, "later h"]]:
    """The scheduling matrices that a sampler's settings describe.

    Returns:
        Of a first plan, and of one that goes on with what the plan before left partly denoised.

    Raises:
        DfPolicyError: if there are more steps than levels.
    """
    horizon, steps = sampler.horizon, sampler.steps
    try:
        if sampler.matrix in CARRIED:
            return CARRIED[sampler.matrix](horizon, steps, levels)
        only = matrix(sampler.matrix, horizon, steps, levels, sampler.lag)
    except ValueError as error:
        raise DfPolicyError(f"the sampler does not fit the checkpoint: {error}") from error
    return only, only

"""The demo's film and its report: one HTML page with plots, readable without a server."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from df_policy.commands.films import Take
from df_policy.data.reader import EpisodeStore


def takes(log: Path, episodes: int = 2) -> list[Take]:
    """The first episodes of a film log.

    Args:
        log: the `.npz` that sim_node wrote.
        episodes: how many, from the first.
    """
    found = []
    with np.load(log) as moments:
        of, stamps_ns, qpos = moments["episode"], moments["stamp_ns"], moments["qpos"]
        for index, seed in enumerate(moments["seed"][:episodes]):
            rows = np.flatnonzero(of == index)
            seconds = 1e-9 * (stamps_ns[rows] - stamps_ns[rows[:1]])
            ends, plans = str(moments["verdict"][index]), moments["plan"][rows]
            found.append(Take(int(seed), ends, seconds.tolist(), qpos[rows], plans))
    return found


def write_report(out: Path, recording: Path, result: Path, log: Path) -> None:
    """Write `report/index.html` and its pictures below `out`."""
    folder = out / "report"
    folder.mkdir(exist_ok=True)
    store = EpisodeStore.open(recording)
    figures = json.loads(result.read_text())
    _contact_sheet(store, folder / "recorded.png")
    _recorded(store, folder / "actions.png")
    _driven(log, folder / "plans.png")
    rows = "\n".join(
        f"<tr><td>{one['seed']}</td><td>{html.escape(one['reason'])}</td>"
        f"<td>{one['rate_hz']:.2f}</td><td>{one['worst_gap_ms']:.0f}</td></tr>"
        for one in figures["results"]
    )
    low, high = (100 * bound for bound in figures["wilson95"])
    page = PAGE.format(
        successes=figures["successes"],
        episodes=figures["episodes"],
        low=f"{low:.0f}",
        high=f"{high:.0f}",
        rows=rows,
        recorded=len(store),
    )
    (folder / "index.html").write_text(page)


def _contact_sheet(store: EpisodeStore, path: Path) -> None:
    """The cameras' images over the first episode."""
    episode = store.episode(0)
    cameras = sorted(store.spec.cameras)
    steps = np.linspace(0, int(store.lengths[0]) - 1, 10).round().astype(int)
    sheet, axes = plt.subplots(len(cameras), len(steps), figsize=(14, 3.1), squeeze=False)
    for row, camera in zip(axes, cameras, strict=True):
        for panel, step in zip(row, steps, strict=True):
            panel.imshow(episode.arrays[f"image_{camera}"][step])
            panel.set_title(f"{step / store.spec.action_rate_hz:.1f} s", fontsize=8)
            panel.axis("off")
        row[0].set_ylabel(camera)
    _save(sheet, path)


def _recorded(store: EpisodeStore, path: Path) -> None:
    """The actions sent in every recorded episode."""
    names = ("x [m]", "y [m]", "z [m]", "gripper [m]")
    sheet, axes = plt.subplots(len(names), 1, figsize=(10, 7), sharex=True)
    for index in range(len(store)):
        action = store.episode(index).arrays["action"]
        seconds = np.arange(len(action)) / store.spec.action_rate_hz
        for panel, name, column in zip(axes, names, (0, 1, 2, 9), strict=True):
            panel.plot(seconds, action[:, column], label=f"episode {index}")
            panel.set_ylabel(name)
    axes[0].legend()
    axes[-1].set_xlabel("time [s]")
    _save(sheet, path)


def _driven(log: Path, path: Path) -> None:
    """The plans that the policy followed over ROS 2, from above, one panel an episode."""
    with np.load(log) as moments:
        number, plans, verdicts = moments["episode"], moments["plan"], moments["verdict"]
    episodes = len(verdicts)
    sheet, axes = plt.subplots(1, episodes, figsize=(3.2 * episodes, 3.4), squeeze=False)
    for index, panel in enumerate(axes[0]):
        mine = plans[number == index]
        for moment, plan in enumerate(mine):
            shade = plt.get_cmap("viridis")(moment / len(mine))
            panel.plot(plan[:, 1], plan[:, 0], color=shade, linewidth=0.6)
        panel.set_title(str(verdicts[index]), fontsize=9)
        panel.set_xlabel("y [m]")
        panel.invert_xaxis()
        panel.set_aspect("equal")
    axes[0][0].set_ylabel("x [m]")
    _save(sheet, path)


def _save(sheet: Any, path: Path) -> None:
    sheet.tight_layout()
    sheet.savefig(path, dpi=110)
    plt.close(sheet)


PAGE = """<!doctype html>
<meta charset="utf-8"><title>df_policy demo</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
img, video {{ max-width: 100% }} td, th {{ padding: .2rem .8rem; text-align: left }}
</style>
<h1>Fruit swap over ROS 2: {successes} of {episodes} solved</h1>
<p>95 % Wilson interval {low} to {high} %. Each episode is judged once, at its end.</p>
<video src="../swaps.mp4" controls muted></video>
<table><tr><th>seed</th><th>ends</th><th>targets per second</th><th>worst gap [ms]</th></tr>
{rows}
</table>
<h2>Plans that were followed, from above (dark to bright: start to end)</h2>
<img src="plans.png" alt="planned tool paths of each episode">
<h2>{recorded} freshly recorded episodes</h2>
<img src="recorded.png" alt="camera images over one episode">
<img src="actions.png" alt="recorded actions over time">
"""

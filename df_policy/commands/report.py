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

from df_policy.commands.evaluate import FILM_STRIDE
from df_policy.data.reader import EpisodeStore
from df_policy.sim.film import render_film


def film(log: Path, path: Path, episodes: int = 2) -> None:
    """Draw the first episodes of a film log, with the plan that was followed.

    Args:
        log: the `.npz` that sim_node wrote.
        path: the MP4.
        episodes: how many, from the first.
    """
    snapshots, ways, captions = [], [], []
    with np.load(log) as moments:
        for index in range(min(episodes, len(moments["seed"]))):
            rows = np.flatnonzero(moments["episode"] == index)
            about = f"seed {moments['seed'][index]}   ends: {moments['verdict'][index]}"
            for row in rows[::FILM_STRIDE]:
                plan = moments["plan"][row]
                plan = plan[np.isfinite(plan).all(-1)]
                snapshots.append(moments["qpos"][row])
                ways.append(plan if len(plan) > 1 else None)
                captions.append(f"{about}   {0.1 * (row - rows[0]):4.1f} s")
    render_film(snapshots, ways, path, captions=captions)


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

"""Spoilt datasets: each import says what is wrong, or makes a whole recording; nothing else.

DF_POLICY_MUTANTS sets how many are tried of each format.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
from mutants import mutate
from strange_episodes import SPEC, InMemory, episode

from df_policy.commands import data_import
from df_policy.commands.isolated import isolated
from df_policy.data.formats import registry
from df_policy.data.reader import EpisodeStore
from df_policy.errors import DfPolicyError

MUTANTS = int(os.environ.get("DF_POLICY_MUTANTS", "8"))
SUFFIX = {"diffusion_policy": ".zarr", "umi": ".zarr.zip", "robomimic": ".hdf5"}
MEMORY_GB = 3.0


def ending(source: Path, form: str, out: Path) -> str:
    """What the import of one mutant comes to."""
    options = [str(source), str(out), "--format", form, "--success", "yes", "--patience", "5"]
    chosen = data_import.parser().parse_args(options)
    try:
        isolated(lambda: data_import.convert(chosen), MEMORY_GB, str(source))
    except DfPolicyError as error:
        said = str(error)
        assert len(said) < 20_000
        return next((word for word in ("crash", "no end", "GB, got more") if word in said), "said")
    store = EpisodeStore.open(out)
    for index in range(len(store)):
        store.episode(index)
    shutil.rmtree(out)
    return "imported"


@pytest.mark.parametrize("name", registry.FORMATS)
def test_no_mutant_does_harm(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr("rich.progress.track", lambda items, *_, **__: items)
    (tmp_path / "whole").mkdir()
    source = InMemory([episode(SPEC, 4, 0), episode(SPEC, 3, 1)])
    file = f"a{SUFFIX.get(name, '')}"
    registry.load(name).write(source, tmp_path / "whole" / file, lambda: None)
    form = "diffusion_policy" if name == "umi" else name
    endings: Counter[str] = Counter()
    for number in range(MUTANTS):
        shutil.copytree(tmp_path / "whole", tmp_path / "mutant")
        how = mutate(tmp_path / "mutant", random.Random(f"{name} {number}"))
        sys.stderr.write(f"{name} mutant {number}, {how}\n")  # where a test was that never ends
        endings[ending(tmp_path / "mutant" / file, form, tmp_path / "out.zarr")] += 1
        shutil.rmtree(tmp_path / "mutant")
        assert [path.name for path in tmp_path.iterdir()] == ["whole"], how
    sys.stderr.write(f"{name} fine: {dict(endings)}\n")
    assert endings["said"] > 0

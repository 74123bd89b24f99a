"""Files with one thing wrong: bits flipped, ends cut, numbers in their metadata made absurd."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

_ABSURD = (
    -1, 0, 1, 7, 2**31, 2**62, 10**30, 1e308, "../../out", "/etc/passwd", "", None, True,
    [], {}, [10**9], [2**40, 2**40], "float64", "object", "<U9", "\ud800", "x" * 5000,
)  # fmt: skip


def mutate(folder: Path, rng: random.Random) -> str:
    """Spoil one file below `folder`; says how."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = rng.choice(files)
    content = bytearray(path.read_bytes())
    texts = [file for file in files if _is_text(file) and file.stat().st_size > 2]
    if texts and rng.random() < 0.5:
        return _absurd(rng.choice(texts), rng)
    if not content:
        path.unlink()
        return f"{path.name} removed"
    how = rng.choice(["cut", "flip", "zero", "insert", "remove", "number"])
    at = rng.randrange(len(content))
    if how == "cut":
        del content[at:]
    elif how == "flip":
        for _ in range(rng.choice([1, 1, 8, 64])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif how == "zero":
        content[at : at + 64] = bytes(min(64, len(content) - at))
    elif how == "insert":
        content[at:at] = rng.randbytes(rng.choice([1, 16, 500]))
    elif how == "number":
        size = rng.choice([2, 4, 8])
        content[at : at + size] = rng.choice([b"\xff", b"\x7f", b"\x00"]) * size
    if how == "remove":
        path.unlink()
    else:
        path.write_bytes(bytes(content))
    return f"{path.name}: {how} at {at}"


def _is_text(path: Path) -> bool:
    return path.suffix in (".json", ".jsonl") or path.name in (".zarray", ".zattrs", ".zgroup")


def _absurd(path: Path, rng: random.Random) -> str:
    """One value of a JSON file made absurd, wherever it stands."""
    values = json.loads(path.read_text())
    places: list[tuple[dict | list, object]] = []

    def walk(node: object) -> None:
        if isinstance(node, dict | list):
            for key in node if isinstance(node, dict) else range(len(node)):
                places.append((node, key))
                walk(node[key])

    walk(values)
    node, key = rng.choice(places)
    value = rng.choice(_ABSURD)
    if isinstance(node[key], str) and re.match(r"\{", node[key]):
        node[key] = node[key].replace('"', "'", 1)  # a text that is JSON itself
    elif rng.random() < 0.1 and isinstance(node, dict):
        del node[key]
    else:
        node[key] = value
    path.write_text(json.dumps(values))
    return f"{path.name}: {key} = {str(value)[:30]}"

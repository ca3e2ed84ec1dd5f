"""What the processes of a run keep on the way: tables part by part, and words between them."""

from pathlib import Path
from typing import Any

import jax
import pyarrow as pa

from jclip.distributed import wait_for_all
from jclip.files.json_files import read_json, write_json
from jclip.files.tables import read_table, write_parquet

PARTS = "parts"


def write_part(folder: Path, table: pa.Table) -> None:
    """Keep what was computed since the last part; the part appears whole or not at all."""
    number = len(list((folder / PARTS).glob(f"{_own_prefix()}*.parquet")))
    write_parquet(folder / PARTS / f"{_own_prefix()}{number:06d}.parquet", table)


def read_parts(folder: Path, *, of_others: bool = False) -> list[pa.Table]:
    """All parts in the folder of a run, or those that other processes have written.

    Raises:
        InputError: one of them is damaged.
    """
    parts = sorted((folder / PARTS).glob("*.parquet"))
    return [read_table(p) for p in parts if not (of_others and p.name.startswith(_own_prefix()))]


def exchange(folder: Path, name: str, content: dict[str, Any]) -> list[dict[str, Any]]:
    """Give every process what each of them has, in order of processes, as JSON in the folder.

    Returns when all are here; parts that any of them wrote before can be read then.
    """
    write_json(folder / PARTS / f"{name}-{jax.process_index():03d}.json", content)
    wait_for_all(f"exchanged: {name}")
    files = [folder / PARTS / f"{name}-{i:03d}.json" for i in range(jax.process_count())]
    return [read_json(file) for file in files]


def _own_prefix() -> str:
    return f"{jax.process_index():03d}-"

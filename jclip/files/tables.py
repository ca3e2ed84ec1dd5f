"""Arrow tables as files: Parquet with checksums, and CSV."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from jclip.errors import InputError
from jclip.files.atomic import replacing

CSV_ROWS = 100_000
"""Longer tables are written as Parquet only."""


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file, its checksums verified.

    Raises:
        InputError: it is truncated, damaged or not Parquet.
    """
    try:
        return pa_parquet.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        reason = f"cannot be read as Parquet ({error}); delete it to go on"
        raise InputError(f"{path}: {reason}") from None


def write_table(folder: Path, name: str, table: pa.Table) -> None:
    """Write `NAME.parquet` and, up to 100,000 rows and where no cell is a list, `NAME.csv` too."""
    write_parquet(folder / f"{name}.parquet", table)
    if len(table) <= CSV_ROWS and not any(map(pa.types.is_nested, table.schema.types)):
        with replacing(folder / f"{name}.csv") as partial:
            pa_csv.write_csv(table, partial)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet with a checksum for every page."""
    with replacing(path) as partial:
        pa_parquet.write_table(table, partial, write_page_checksum=True)

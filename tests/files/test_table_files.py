"""Tables as files."""

import os

import pyarrow as pa

from jclip.files.tables import write_table


def test_large_tables_have_no_csv(tmp_path, monkeypatch):
    monkeypatch.setattr("jclip.files.tables.CSV_ROWS", 2)
    write_table(tmp_path, "small", pa.table({"x": [1, 2]}))
    write_table(tmp_path, "large", pa.table({"x": [1, 2, 3]}))
    assert sorted(os.listdir(tmp_path)) == ["large.parquet", "small.csv", "small.parquet"]

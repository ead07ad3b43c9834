"""The call log for people: `clinicpbx calls`. Reads the database beside the running box, or without it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from appliance.records.database import Database


def recent(folder: Path, limit: int = 50, since: datetime | None = None) -> list[dict[str, Any]]:
    """The newest call records. Raises :class:`~appliance.records.database.DatabaseError` when there is no database."""
    database = Database(folder / "records.db", read_only=True)
    try:
        return database.calls(limit, since)
    finally:
        database.close()


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Call records as a table, the newest below."""
    view = Table(box=None, padding=(0, 1))
    for name in ("time", "caller", "dialed", "way", "outcome", "by"):
        view.add_column(name)
    for name in ("waited", "talked"):
        view.add_column(name, justify="right")
    for row in reversed(rows):
        name = row["caller_name"]
        caller = f"{row['caller_number'] or 'withheld'}{f' ({name})' if name else ''}"
        time = datetime.fromisoformat(row["started"])
        way = " → ".join(row["path"])
        view.add_row(
            f"{time:%m-%d %H:%M:%S}",
            caller,
            row["dialed"],
            way,
            row["outcome"],
            row["answered_by"],
            f"{row['waited']:.0f} s",
            f"{row['talked']:.0f} s",
        )
    return view

"""The database: call records, small facts, and the index of messages. All SQL of the box stands here.

SQLite, WAL, ``synchronous=FULL``: what was committed survives a power cut. Part of the file's schema is its version; an
older file is brought forward at start, a newer one is refused. Encryption arrives behind this same module.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.flows.ports import CallRecord, Party

MIGRATIONS: Sequence[str] = (
    """
    CREATE TABLE calls (
      number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, direction TEXT NOT NULL,
      caller_number TEXT NOT NULL, caller_name TEXT NOT NULL, dialed TEXT NOT NULL, line TEXT,
      started TEXT NOT NULL, started_epoch REAL NOT NULL, answered_at TEXT, answered_by TEXT NOT NULL, ended_at TEXT,
      outcome TEXT NOT NULL, waited REAL NOT NULL, talked REAL NOT NULL, told_wait REAL, path TEXT NOT NULL
    );
    CREATE INDEX calls_started ON calls (started_epoch);
    CREATE TABLE memory (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE messages (
      number INTEGER PRIMARY KEY, mailbox TEXT NOT NULL, file TEXT NOT NULL UNIQUE, caller_number TEXT NOT NULL,
      caller_name TEXT NOT NULL, received TEXT NOT NULL, seconds REAL NOT NULL, heard TEXT
    );
    CREATE INDEX messages_mailbox ON messages (mailbox, number);
    """,
)


class DatabaseError(RuntimeError):
    """The database cannot be used; the text says what to do."""


class Database:
    """One connection. The writer's thread has one of its own, readers theirs; WAL lets them be at the same time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        try:
            if read_only:
                self._sql = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
            else:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
                self._sql = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
                self._sql.execute("PRAGMA journal_mode=WAL")
                self._sql.execute("PRAGMA synchronous=FULL")
                self._migrate()
        except sqlite3.Error as error:
            raise DatabaseError(
                f"{path} cannot be opened ({error}); restore it from a backup, or move it away to begin a new one"
            ) from error

    def _migrate(self) -> None:
        version = self._sql.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise DatabaseError(f"{self._path} was written by a newer version of this program; install that one")
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._sql.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")

    # --- writing (the writer's thread) ---

    @contextmanager
    def _change(self) -> Iterator[None]:
        if not self._sql.in_transaction:
            self._sql.execute("BEGIN IMMEDIATE")
        yield

    def commit(self) -> None:
        if self._sql.in_transaction:
            try:
                self._sql.execute("COMMIT")
            except sqlite3.Error:
                # A full disk may have undone it already.
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise

    def add_call(self, record: CallRecord) -> Database:
        row = (
            record.id,
            record.direction,
            record.caller.number,
            record.caller.name,
            record.dialed,
            record.line,
            record.started.isoformat(timespec="seconds"),
            record.started.timestamp(),
            record.answered_at.isoformat(timespec="seconds") if record.answered_at else None,
            record.answered_by,
            record.ended_at.isoformat(timespec="seconds") if record.ended_at else None,
            record.outcome,
            round(record.waited, 2),
            round(record.talked, 2),
            record.told_wait,
            json.dumps(record.path),
        )
        with self._change():
            self._sql.execute(
                "INSERT OR REPLACE INTO calls (id, direction, caller_number, caller_name, dialed, line, started,"
                " started_epoch, answered_at, answered_by, ended_at, outcome, waited, talked, told_wait, path)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                row,
            )
        return self

    def put(self, key: str, value: str | None) -> Database:
        with self._change():
            if value is None:
                self._sql.execute("DELETE FROM memory WHERE key=?", (key,))
            else:
                self._sql.execute("INSERT OR REPLACE INTO memory VALUES (?,?)", (key, value))
        return self

    def add_message(self, mailbox: str, file: str, caller: Party, received: datetime, seconds: float) -> Database:
        with self._change():
            self._sql.execute(
                "INSERT OR IGNORE INTO messages (mailbox, file, caller_number, caller_name, received, seconds)"
                " VALUES (?,?,?,?,?,?)",
                (mailbox, file, caller.number, caller.name, received.isoformat(timespec="seconds"), seconds),
            )
        return self

    # --- reading ---

    def memory(self) -> dict[str, str]:
        return dict(self._sql.execute("SELECT key, value FROM memory"))

    def calls(self, limit: int = 50, since: datetime | None = None) -> list[dict[str, Any]]:
        """Call records, the newest first, as JSON-ready rows."""
        cursor = self._sql.execute(
            "SELECT * FROM calls WHERE started_epoch >= ? ORDER BY number DESC LIMIT ?",
            (since.timestamp() if since else 0, limit),
        )
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
        for row in rows:
            row["path"] = json.loads(row["path"])
            del row["number"], row["started_epoch"]
        return rows

    def messages(self, mailbox: str) -> tuple[int, int]:
        """How many messages of a mailbox are new, and how many were heard."""
        row = self._sql.execute(
            "SELECT SUM(heard IS NULL), SUM(heard IS NOT NULL) FROM messages WHERE mailbox=?", (mailbox,)
        ).fetchone()
        return int(row[0] or 0), int(row[1] or 0)

    def close(self) -> None:
        self._sql.close()

"""Passwords of phones and trunks: made by the box, kept in one file that only its user can read, never in clinic.toml."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

#: 20 letters and digits: 119 bits, typed without doubt (no 0/O, 1/l/I)
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_LENGTH = 20


class SecretsError(RuntimeError):
    """The secrets file cannot be trusted or used; the text says how to mend it."""


class Secrets:
    """The secrets of one box, by ``phone/101`` and ``trunk/main``."""

    def __init__(self, path: Path) -> None:
        """Reads the file, or begins a new one. Raises :class:`SecretsError`."""
        self._path = path
        self._values: dict[str, str] = {}
        if not path.exists():
            return
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SecretsError(f"{path} can be read by others; to mend it: chmod 600 {path}")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SecretsError(f"{path} cannot be read ({error}); restore it from a backup, or move it away") from error
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            raise SecretsError(f"{path} is not a list of secrets; restore it from a backup, or move it away")
        self._values = values

    def phone(self, extension: str) -> str:
        """The SIP password of an extension; ``""`` when it has none."""
        return self._values.get(f"phone/{extension}", "")

    def trunk(self, name: str) -> str:
        return self._values.get(f"trunk/{name}", "")

    def ensure(self, extensions: Iterable[str]) -> None:
        """Make the missing passwords of these phones; durable when it returns."""
        missing = [f"phone/{e}" for e in extensions if f"phone/{e}" not in self._values]
        if missing:
            self._write({key: "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for key in missing})

    def set_trunk(self, name: str, password: str) -> None:
        """Keep the password of a line; durable when it returns."""
        self._write({f"trunk/{name}": password})

    def _write(self, more: Mapping[str, str]) -> None:
        """Add these: to the file first, so that no password is in use which the next start would not know."""
        values = {**self._values, **more}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_name(self._path.name + ".part")
        # What a crash left behind may be readable by others.
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(values, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        self._values = values

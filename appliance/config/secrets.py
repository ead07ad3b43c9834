"""Passwords of phones and trunks: made by the box, kept in one file that only its user can read, never in clinic.toml."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterable
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
            values = json.loads(path.read_text())
        except (OSError, ValueError) as error:
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
        missing = [e for e in extensions if f"phone/{e}" not in self._values]
        for extension in missing:
            self._values[f"phone/{extension}"] = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        if missing:
            self._write()

    def set_trunk(self, name: str, password: str) -> None:
        self._values[f"trunk/{name}"] = password
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_name(self._path.name + ".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self._values, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)

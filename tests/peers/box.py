"""A real box: `clinicpbx run` as a process of its own, on a loopback address of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from appliance.config.secrets import Secrets
from appliance.simulation.office import DEMO
from appliance.simulation.phones import Phones

#: rendered prompts are shared by all boxes of a test run
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "clinicpbx" / "prompts"

Status = dict[str, Any]


class Box:
    """Started with :meth:`start`; ``address`` is where it listens, ``trunk`` where its provider must be."""

    def __init__(self, folder: Path, address: str, change: Callable[[str], str] = lambda text: text) -> None:
        self.address = address
        self.trunk = f"{address}:5090"
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "clinic.toml"
        self.config.write_text(change(self._clinic()))
        self.process: asyncio.subprocess.Process | None = None
        self.environment: dict[str, str] = {"CLINICPBX_DNS": ""}

    def _clinic(self) -> str:
        """The demo clinic, always open, at this address."""
        text = DEMO.read_text().replace("127.0.0.1", self.address)
        text = text.replace("tls_port = 5061", "").replace('hours = "office"\n', "")
        return text.replace("wrap_up_seconds = 8", "wrap_up_seconds = 1")

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "appliance.cli", "run", "--quiet", "--config", str(self.config), "--state", str(self.state),
            "--cache", str(CACHE), "--seconds", "300", env={**os.environ, **self.environment},
            stderr=(self.folder / "box.log").open("ab"), start_new_session=True,
        )  # fmt: skip
        await self.until(lambda status: status["state"] == "ready", 60)

    async def status(self) -> Status:
        transport = httpx.AsyncHTTPTransport(uds=str(self.state / "switchboard.sock"))
        async with httpx.AsyncClient(transport=transport, base_url="http://box", timeout=5) as client:
            found: Status = (await client.get("/status")).json()
            return found

    async def until(self, true: Callable[[Status], bool], seconds: float = 10) -> Status:
        """Wait until the status says so."""
        last: Status = {}
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        last = await self.status()
                        if true(last):
                            return last
                    except (httpx.HTTPError, OSError):
                        assert self.process is not None
                        assert self.process.returncode is None, (self.folder / "box.log").read_text()[-3000:]
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise TimeoutError(f"the box's status stayed {json.dumps(last)[:1500]}") from None

    async def records(self) -> list[dict[str, Any]]:
        """The call log, the oldest first, as `clinicpbx calls --json` prints it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "appliance.cli", "calls", "--json", "--state", str(self.state), stdout=asyncio.subprocess.PIPE
        )  # fmt: skip
        out, _ = await process.communicate()
        rows: list[dict[str, Any]] = json.loads(out)
        return rows[::-1]

    async def record(self, caller: str) -> dict[str, Any]:
        """The finished record of a caller."""
        async with asyncio.timeout(15):
            while True:
                for row in await self.records():
                    if row["caller_number"] == caller:
                        return row

    async def reload(self) -> httpx.Response:
        transport = httpx.AsyncHTTPTransport(uds=str(self.state / "switchboard.sock"))
        async with httpx.AsyncClient(transport=transport, base_url="http://box", timeout=10) as client:
            return await client.post("/reload")

    def secret(self, extension: str) -> str:
        return Secrets(self.state / "secrets.json").phone(extension)

    async def command(self, *words: str) -> int:
        """Run a `clinicpbx` command on this box; its exit status."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "appliance.cli", *words, "--state", str(self.state), stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return await process.wait()

    def set_trunk(self, line: str, password: str) -> None:
        """Give the box the password of a line that signs in; before it starts."""
        Secrets(self.state / "secrets.json").set_trunk(line, password)

    async def kill(self) -> None:
        """As a power cut does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        """As systemd does; the box must end by itself, well."""
        assert self.process is not None
        if self.process.returncode is None:
            status = await self.status()
            assert status["engine"]["faults"] == 0, status["engine"]["last_fault"]
            assert status["faults"]["count"] == 0, status["faults"]["last"]
            self.process.terminate()
            async with asyncio.timeout(15):
                assert await self.process.wait() == 0, (self.folder / "box.log").read_text()[-3000:]

    async def register(self, phones: Phones, extension: str, **more: object) -> None:
        """Let a softphone be the phone of an extension."""
        await phones.account(
            extension,
            user=extension,
            password=self.secret(extension),
            registrar=f"{self.address}:5060",
            domain=more.pop("domain", "clinic.local"),
            **more,
        )

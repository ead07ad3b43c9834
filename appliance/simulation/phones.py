"""Drives a softphone process (`appliance.sip.softphone`) from asyncio: orders out, events in."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class Telephone:
    """One call as its softphone sees it. ``state`` is ``new``, ``ringing``, ``answered`` or ``ended``."""

    def __init__(self, phones: Phones, id: str, record: Path | None = None) -> None:
        self.id = id
        self.state = "new"
        self.code = 0
        self.message = ""
        self.codec = ""
        self.keys = ""
        self.record = record
        self.by = ""
        self._phones = phones
        self._changed = asyncio.Event()

    def do(self, what: str, **more: object) -> None:
        self._phones.order(do=what, id=self.id, **more)

    def answer(self) -> None:
        self.do("answer", record=str(self.record or ""))

    def hang_up(self) -> None:
        if self.state != "ended":
            self.do("hangup")

    async def until(self, true: Callable[[Telephone], bool], seconds: float = 10.0) -> None:
        """Wait until something holds. Raises ``TimeoutError`` with the state it stayed in."""
        try:
            async with asyncio.timeout(seconds):
                while not true(self):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"call {self.id} stayed {self.state} (code {self.code}) for {seconds} s") from None

    async def reaches(self, state: str, seconds: float = 10.0) -> None:
        order = ["new", "ringing", "answered", "ended"]
        await self.until(lambda me: order.index(me.state) >= order.index(state), seconds)

    def take(self, event: Event) -> None:
        match event["event"]:
            case "state":
                self.state, self.code = event["state"], event["code"]
                self.message = event.get("message", "")
            case "media":
                self.codec = event["codec"]
            case "key":
                self.keys += event["key"]
        self._changed.set()


class Phones:
    """One softphone process. ``on_incoming(account, telephone)`` is called for each call that rings there."""

    def __init__(self) -> None:
        self.calls: dict[str, Telephone] = {}
        self.registered: dict[str, tuple[bool, int]] = {}
        self.errors: list[Event] = []
        self.on_incoming: Callable[[str, Telephone], None] = lambda account, call: None
        self.recordings: Path | None = None
        self._arrived: asyncio.Queue[tuple[str, Telephone]] = asyncio.Queue()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._number = 0

    async def start(self, address: str, port: int, rtp: int, codecs: str = "PCMU,PCMA,G722,opus") -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "appliance.sip.softphone", "--address", address, "--port", str(port), "--rtp", str(rtp),
            "--codecs", codecs, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True, limit=1_000_000,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read())
        async with asyncio.timeout(20):
            await self._ready.wait()

    def order(self, **order: object) -> None:
        assert self._process is not None and self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write((json.dumps(order) + "\n").encode())

    async def account(self, name: str, *, wait: bool = True, **more: object) -> None:
        """Add an account; with a registrar waits until it has answered."""
        self.order(do="account", name=name, **more)
        if wait and more.get("registrar"):
            async with asyncio.timeout(15):
                while name not in self.registered:
                    self._news.clear()
                    await self._news.wait()

    def call(self, account: str, to: str, **more: object) -> Telephone:
        self._number += 1
        call = Telephone(self, f"out{self._number}", self._record(f"out{self._number}"))
        self.calls[call.id] = call
        self.order(do="call", account=account, id=call.id, to=to, record=str(call.record or ""), **more)
        return call

    async def incoming(self, seconds: float = 15.0) -> tuple[str, Telephone]:
        """The next call that rings here: at which account, and the call."""
        async with asyncio.timeout(seconds):
            return await self._arrived.get()

    async def stop(self) -> int:
        """End the process; its exit status."""
        assert self._process is not None
        self.order(do="quit")
        try:
            async with asyncio.timeout(8):
                status = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            status = await self._process.wait()
        if self._reader is not None:
            self._reader.cancel()
        return status

    def _record(self, id: str) -> Path | None:
        return self.recordings / f"{id}.wav" if self.recordings is not None else None

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        async for line in self._process.stdout:
            self._take(json.loads(line))

    def _take(self, event: Event) -> None:
        match event["event"]:
            case "ready":
                self._ready.set()
            case "registered":
                self.registered[event["account"]] = (event["active"], event["code"])
                self._news.set()
            case "incoming":
                call = Telephone(self, event["call"], self._record(event["call"]))
                call.by = event["by"]
                self.calls[call.id] = call
                self._arrived.put_nowait((event["account"], call))
                self.on_incoming(event["account"], call)
            case "error":
                self.errors.append(event)
            case _ if event.get("call") in self.calls:
                self.calls[event["call"]].take(event)

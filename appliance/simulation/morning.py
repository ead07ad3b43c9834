"""A Monday morning over real SIP and RTP: patients who call, staff who answer, an insurer that is called.

People are moved by chance, but by the same chance each time (``seed``). ``pace`` shortens what people do (the gaps between
calls, how long they talk), never what the box does: greetings and prompts are heard in full.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from appliance.simulation.phones import Phones, Telephone

#: seconds between two calls and of one conversation on a busy morning: 60 calls an hour, 4 minutes each
GAP_SECONDS = 60.0
TALK_SECONDS = 240.0
NAMES = (
    "Ana R", "Ben T", "Carla M", "David K", "Elena S", "Frank O", "Grace L", "Hugo P", "Iris N", "Jonas W",
    "Kim C", "Lena B", "Marco D", "Nina F", "Omar H", "Paula G", "Quinn J", "Rosa V", "Sam Y", "Tara Z",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wish:
    """What a patient wants: the key, and whether it ends at a machine that takes a message."""

    key: str
    leaves_message: bool = False


#: out of a hundred callers
WISHES = {
    Wish("1"): 58,
    Wish("2", leaves_message=True): 12,
    Wish("3", leaves_message=True): 8,
    Wish("4"): 9,
    Wish("5"): 6,
    Wish("130"): 3,
    Wish("0"): 4,
}


class Morning:
    """Patients on the trunk ``outside``, staff on the phones of ``inside``; both are softphone processes of their own."""

    def __init__(self, box: str, number: str, outside: Phones, inside: Phones, *, pace: float = 6.0, seed: int = 8) -> None:
        """``box`` is ``address:port`` of the box, ``number`` the clinic's number that patients call."""
        self._box = box
        self._number = number
        self._outside = outside
        self._inside = inside
        self._pace = pace
        self._chance = random.Random(seed)
        self._lives: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()
        self.patients = 0
        inside.on_incoming = lambda account, call: self._live(self._answer(account, call))
        outside.on_incoming = lambda account, call: self._live(self._insurer(call))

    async def run(self, calls: int | None = None) -> None:
        """Let patients call, one after another, until cancelled or until ``calls`` have; returns when all are done."""
        try:
            self._live(self._busy_work())
            while calls is None or self.patients < calls:
                self._live(self._patient())
                await self._pause(self._chance.expovariate(1 / GAP_SECONDS))
            await asyncio.gather(*self._lives, return_exceptions=True)
        finally:
            for life in list(self._lives):
                life.cancel()

    # --- people ---

    async def _patient(self) -> None:
        chance = self._chance
        self.patients += 1
        number = f"+1217555{1000 + self.patients % 9000:04d}"
        name = NAMES[self.patients % len(NAMES)]
        wish = chance.choices(list(WISHES), list(WISHES.values()))[0]
        call = self._outside.call("patients", f"sip:{self._number}@{self._box}", number=number, display=name)
        try:
            await call.reaches("answered", 30)
            # Some know the menu by heart, some listen.
            await asyncio.sleep(chance.uniform(1.5, 12))
            call.do("keys", keys=wish.key)
            if wish.leaves_message:
                await asyncio.sleep(chance.uniform(14, 26))
            elif chance.random() < 0.08:
                await self._pause(chance.uniform(120, 600))
            else:
                await call.reaches("ended", 3600)
        except TimeoutError:
            pass
        finally:
            call.hang_up()

    async def _answer(self, extension: str, call: Telephone) -> None:
        """Somebody of the staff: one call at a time; now and then a hold, a transfer to the nurses, a ring unheard."""
        chance = self._chance
        if extension in self._busy:
            call.do("reject")
            return
        self._busy.add(extension)
        try:
            call.do("ring")
            if chance.random() < 0.06:
                await call.reaches("ended", 60)
                return
            await asyncio.sleep(chance.uniform(1.0, 4.0))
            call.answer()
            await call.reaches("answered", 10)
            await self._pause(chance.lognormvariate(0, 0.5) * TALK_SECONDS * 0.6)
            if chance.random() < 0.12:
                call.do("hold")
                await self._pause(chance.uniform(30, 60))
                call.do("resume")
            if chance.random() < 0.06 and extension.startswith("10"):
                call.do("refer", to=f"sip:110@{self._box}")
                await call.reaches("ended", 10)
            else:
                await self._pause(chance.lognormvariate(0, 0.5) * TALK_SECONDS * 0.4)
        except TimeoutError:
            pass
        finally:
            call.hang_up()
            self._busy.discard(extension)

    async def _busy_work(self) -> None:
        """Billing calls an insurer now and then."""
        while True:
            await self._pause(self._chance.uniform(120, 360))
            if "120" in self._busy:
                continue
            self._busy.add("120")
            call = self._inside.call("120", f"sip:918005550{self._chance.randint(100, 199)}@{self._box}")
            try:
                await call.reaches("answered", 20)
                await self._pause(self._chance.uniform(200, 500))
            except TimeoutError:
                pass
            finally:
                call.hang_up()
                self._busy.discard("120")

    async def _insurer(self, call: Telephone) -> None:
        call.do("ring")
        await asyncio.sleep(3)
        call.answer()

    # --- inside ---

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._pace)

    def _live(self, life: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(life)
        self._lives.add(task)
        task.add_done_callback(self._lives.discard)

"""The queue (REQ-Q1 to Q7): first come, first served, and nobody is told a figure that is not meant.

Fairness rests on one rule: agents are rung *for the queue*, and when one answers, the caller who is first in line at that
moment gets them. Nobody can be overtaken, however phones ring, reject or time out.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from appliance.config.schema import Destination, Queue
from appliance.flows.call import Call, display
from appliance.flows.conversation import talk
from appliance.flows.estimate import Estimator
from appliance.flows.holdmessages import HoldMessages
from appliance.flows.house import House
from appliance.flows.ports import Cause, Leg, Shown, Sound
from appliance.flows.ringing import Ringing

#: agents may be away this long (a phone that re-registers) before those who wait are led elsewhere
UNSTAFFED_SECONDS = 20.0
#: free agents are looked for at least this often
LOOK_SECONDS = 1.0
#: minutes: nothing shorter is told ("less than two minutes"), and nothing longer as a figure
SHORTEST_TOLD, LONGEST_TOLD = 2, 60


@dataclass(slots=True, eq=False)
class Entry:
    """One caller in line. ``agent`` gets the answered leg, or ``None`` when nobody serves the queue any more."""

    call: Call
    since: float
    agent: asyncio.Future[Leg | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    #: figures this caller has heard: when, and minutes
    told: list[tuple[float, int]] = field(default_factory=list)


class Waiting:
    """Those who wait in one queue, and the phones that ring for them."""

    def __init__(self, house: House, name: str, rules: Queue) -> None:
        self.rules = rules
        self._house = house
        self._name = name
        self.entries: list[Entry] = []
        self._offers: dict[str, tuple[asyncio.Task[None], Ringing]] = {}
        self._changed = asyncio.Event()
        self._server: asyncio.Task[None] | None = None
        self._unstaffed_since: float | None = None
        self.estimator = Estimator.from_json(house.memory.get(f"estimate/{name}"))
        house.listen(self._changed.set)

    # --- the line ---

    def join(self, call: Call) -> Entry:
        entry = Entry(call, self._now())
        self.entries.append(entry)
        if self._server is None:
            self._server = self._house.adopt(self._serve(), f"queue {self._name}")
        self._changed.set()
        return entry

    def leave(self, entry: Entry) -> None:
        """The caller is served, or gone. An agent given to one who is gone goes to the next in line."""
        if entry in self.entries:
            self.entries.remove(entry)
        self._changed.set()

    def position(self, entry: Entry) -> int:
        """1 is next; 0: not in line any more."""
        return self.entries.index(entry) + 1 if entry in self.entries else 0

    def staffed(self) -> int:
        """How many agents are at work."""
        return sum(1 for extension in self.rules.agents if self._house.agents.serving(extension))

    def assign(self, leg: Leg) -> None:
        """An agent has answered: the first in line gets them."""
        while self.entries:
            entry = self.entries.pop(0)
            if not entry.agent.done():
                entry.agent.set_result(leg)
                # The phone rang for whoever was first then: it shows whom it has now.
                leg.show(self._house.shows(entry.call.caller), self.rules.label)
                self._changed.set()
                return
        leg.hang_up(Cause.ELSEWHERE)
        self._house.agents.finished(leg.extension or "", 0.0)

    def snapshot(self, now: float) -> list[dict[str, object]]:
        return [
            {
                "position": position,
                "caller": display(entry.call.caller),
                "waited": round(now - entry.since, 1),
                "estimate": entry.told[0][1] * 60 if entry.told else None,
            }
            for position, entry in enumerate(self.entries, 1)
        ]

    # --- matching ---

    async def _serve(self) -> None:
        """Runs while somebody waits."""
        try:
            while self.entries:
                try:
                    self._match()
                except Exception as error:
                    # Those who wait depend on this task: the next look may succeed.
                    self._house.fault(f"queue {self._name}", error)
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._changed.wait()
        finally:
            self._server = None
            for extension in list(self._offers):
                self._withdraw(extension)

    def _match(self) -> None:
        agents = self._house.agents
        self._watch_staff()
        free = [extension for extension in agents.free(self.rules.agents) if extension not in self._offers]
        if self.rules.strategy == "longest_idle":
            free.sort(key=agents.idle_since)
        missing = len(free) if self.rules.strategy == "ring_all" else len(self.entries) - len(self._offers)
        for extension in free[: max(0, missing)]:
            ringing = Ringing(self._house)
            agents.rings(extension)
            self._offers[extension] = (self._house.adopt(self._offer(extension, ringing), f"ring {extension}"), ringing)
        if self.rules.strategy != "ring_all":
            for extension in list(self._offers)[len(self.entries) :]:
                self._withdraw(extension)

    async def _offer(self, extension: str, ringing: Ringing) -> None:
        house, rules = self._house, self.rules
        winner: Leg | None = None
        try:
            if not self.entries:
                return  # the caller hung up in the moment in which the phone was chosen
            head = self.entries[min(len(self._offers) - 1, len(self.entries) - 1)]
            shown = Shown(house.shows(head.call.caller), via=rules.label)
            rung = await ringing.run([lambda: house.switch.ring_phone(extension, shown)], rules.ring_seconds)
            winner = rung.winner
            if winner is None:
                house.agents.rejected(extension, rules.retry_rejected_seconds)
        except Exception:
            # A phone that cannot be rung must not stand in the way of the others.
            house.agents.rejected(extension, rules.retry_rejected_seconds)
            raise
        finally:
            self._over(extension, ringing)
        if winner is not None:
            house.agents.talks(winner.extension or extension)
            self.assign(winner)
        self._changed.set()

    def _withdraw(self, extension: str) -> None:
        """Stop ringing a phone that nobody waits for any more; it shows no missed call."""
        task, ringing = self._offers[extension]
        ringing.unneeded = Cause.ELSEWHERE
        # A task that is cancelled before its first step never comes to its ``finally``.
        self._over(extension, ringing)
        task.cancel()

    def _over(self, extension: str, ringing: Ringing) -> None:
        """This offer is over; a newer one to the same phone is not."""
        offer = self._offers.get(extension)
        if offer is not None and offer[1] is ringing:
            del self._offers[extension]
            self._house.agents.stopped_ringing(extension)

    def _watch_staff(self) -> None:
        if self.staffed() or self._offers:
            self._unstaffed_since = None
            return
        if self._unstaffed_since is None:
            self._unstaffed_since = self._now()
        elif self._now() - self._unstaffed_since >= UNSTAFFED_SECONDS:
            for entry in self.entries:
                if not entry.agent.done():
                    entry.agent.set_result(None)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # --- what callers are told ---

    def figure(self, entry: Entry) -> int | None:
        """Minutes to tell, ``None`` when an agent is free for this caller."""
        position = self.position(entry)
        free = len(self._house.agents.free(self.rules.agents)) + len(self._offers)
        if position == 0 or position <= free:
            return None
        staff, hour = self._house.agents.staff(self.rules.agents), self._house.now().hour
        return max(SHORTEST_TOLD, self.estimator.minutes(position, staff, hour, first=not entry.told))

    def learned(self, entry: Entry, *, gave_up: bool) -> None:
        """The caller has left the line: compare what they were told with what came."""
        now = self._now()
        self.estimator.left(now - entry.since, gave_up=gave_up)
        for i, (at, minutes) in enumerate(entry.told):
            # One who gives up before the time is over tells nothing about the figure. Each caller's later ones count as one.
            if not gave_up or now - at > minutes * 60:
                weight = 1.0 / max(1, len(entry.told) - 1) if i else 1.0
                self.estimator.waited(minutes, now - at, first=i == 0, weight=weight)

    def handled(self, seconds: float) -> None:
        self.estimator.handled(seconds, self._house.now().hour)
        self._house.memory.put(f"estimate/{self._name}", self.estimator.to_json())


async def queue(call: Call, name: str) -> Destination | None:
    """Wait for an agent and talk with them; or go where the practice wants those who cannot be served (REQ-Q5)."""
    house = call.house
    waiting = house.queues.get(name)
    if waiting is None:
        waiting = house.queues[name] = Waiting(house, name, house.clinic.queues[name])
    rules = waiting.rules
    if len(waiting.entries) >= rules.max_length:
        return rules.overflow.full
    if not waiting.staffed():
        return rules.overflow.no_agents
    await call.answer()
    loop = asyncio.get_running_loop()
    entry = waiting.join(call)
    call.note(f"queue:{name}", position=waiting.position(entry))
    leg: Leg | None = None
    timed_out = taken = False
    company = house.adopt(_entertain(call, waiting, entry, name), f"company in {name}")
    try:
        async with asyncio.timeout(rules.max_wait_seconds):
            leg = await entry.agent
        taken = True
    except TimeoutError:
        # An agent may have answered in this very moment.
        leg = entry.agent.result() if entry.agent.done() and not entry.agent.cancelled() else None
        taken, timed_out = leg is not None, leg is None
    finally:
        company.cancel()
        waiting.leave(entry)
        if leg is not None or not taken:
            waiting.learned(entry, gave_up=not taken)
        if not taken and entry.agent.done() and not entry.agent.cancelled() and (given := entry.agent.result()):
            waiting.assign(given)
    if timed_out:
        return rules.overflow.wait
    if leg is None:
        return rules.overflow.no_agents
    began = loop.time()
    agent = leg.extension or leg.dialed
    try:
        return await talk(call, leg, agent)
    finally:
        house.agents.finished(agent, rules.wrap_up_seconds)
        waiting.handled(loop.time() - began + rules.wrap_up_seconds)


async def _entertain(call: Call, waiting: Waiting, entry: Entry, name: str) -> None:
    """Position, time, music, messages, for as long as the caller waits."""
    house, rules, loop = call.house, waiting.rules, asyncio.get_running_loop()
    messages = HoldMessages(rules.messages, house.clinic.messages, first=len(waiting.entries))
    said: tuple[int, int | None] | None = None
    next_message = loop.time() + rules.message_seconds
    while True:
        now = (waiting.position(entry), waiting.figure(entry))
        if now != said and now[0] > 0:
            said = now
            call.note(f"queue:{name}", position=now[0])
            if now[1] is not None and now[1] <= LONGEST_TOLD:
                entry.told.append((loop.time(), now[1]))
                call.record.told_wait = entry.told[0][1] * 60.0
            await call.leg.play(_words(house, waiting, *now))
        said_at = loop.time()
        while loop.time() - said_at < rules.announce_seconds:
            call.leg.music(rules.music)
            await asyncio.sleep(max(0.1, min(next_message, said_at + rules.announce_seconds) - loop.time()))
            if loop.time() >= next_message:
                next_message = loop.time() + rules.message_seconds
                text = messages.next(house.now().date())
                if text is not None:
                    await call.leg.play(house.prompts.text(text))


def _words(house: House, waiting: Waiting, position: int, minutes: int | None) -> Sound:
    """What is said: the place in line, and a time when there is one to tell."""
    prompts = house.prompts
    place = prompts.phrase("queue.next") if position == 1 else prompts.phrase("queue.position", position=position)
    if minutes is None:
        return place
    if minutes > LONGEST_TOLD:
        return place + prompts.phrase("queue.wait_long")
    # While little is known the figure is given as the bound it is.
    key = "queue.wait" if waiting.estimator.sure and minutes > SHORTEST_TOLD else "queue.wait_less"
    return place + prompts.phrase(key, minutes=minutes)

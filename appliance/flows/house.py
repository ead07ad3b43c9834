"""The clinic as the flows know it: the configuration in force, the ports, and what is going on now."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from appliance.config.dialing import Dialed, understand
from appliance.config.schema import Clinic, Destination
from appliance.flows.agents import Agents
from appliance.flows.call import Call, display
from appliance.flows.ports import CallLog, CallRecord, Clock, Journal, Leg, Memory, Messages, Party, Prompts, Switch

if TYPE_CHECKING:
    from appliance.flows.conversation import Conversation
    from appliance.flows.park import Parked
    from appliance.flows.queues import Waiting
    from appliance.flows.ringing import Ringing

log = structlog.get_logger("flows")

#: finished calls and alarms kept for screens
RECENT_CALLS = 12
ALARMS = 20

T = TypeVar("T")


class House:
    """Given to every flow. All of it belongs to the event loop's thread."""

    def __init__(
        self,
        clinic: Clinic,
        *,
        switch: Switch,
        clock: Clock,
        journal: Journal,
        calls: CallLog,
        memory: Memory,
        messages: Messages,
        prompts: Prompts,
    ) -> None:
        self.clinic = clinic
        self.switch = switch
        self.clock = clock
        self.journal = journal
        self.calls = calls
        self.memory = memory
        self.messages = messages
        self.prompts = prompts
        self.agents = Agents(switch, memory)
        self.queues: dict[str, Waiting] = {}
        self.open_calls: dict[str, Call] = {}
        self.talks: dict[str, Conversation] = {}
        self.parked: dict[str, Parked] = {}
        self.ringing: list[Ringing] = []
        #: the newest last
        self.recent: deque[CallRecord] = deque(maxlen=RECENT_CALLS)
        #: legs of emergency calls: never pre-empted
        self.emergencies: set[str] = set()
        #: what people must see at once, the newest last; ``status``, panel and console show it
        self.alarms: deque[str] = deque(maxlen=ALARMS)
        self.faults = 0
        self.last_fault = ""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listeners: list[Callable[[], None]] = []

    # --- configuration ---

    def reload(self, clinic: Clinic, prompts: Prompts) -> None:
        """New calls use this clinic; calls under way finish as they began, queues go on with their new rules."""
        self.clinic = clinic
        self.prompts = prompts
        for name, queue in self.queues.items():
            if name in clinic.queues:
                queue.rules = clinic.queues[name]
        self.nudge()

    def understand(self, dialed: str) -> Dialed:
        return understand(dialed, self.clinic)

    def now(self) -> datetime:
        return self.clock.now()

    def shows(self, caller: Party) -> Party:
        """A caller as a phone shows them; people of the house by name."""
        phone = self.clinic.phone(caller.number)
        return Party(caller.number, phone.name) if phone is not None and not caller.name else caller

    @property
    def operator(self) -> Destination:
        return self.clinic.clinic.operator

    # --- tasks ---

    def adopt(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run something that outlives the flow that began it. Its failure is counted, logged and shown."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def alarm(self, text: str) -> None:
        """Tell people at once. The same again moves to the end of the list."""
        if text in self.alarms:
            self.alarms.remove(text)
        self.alarms.append(text)

    def fault(self, where: str, error: BaseException) -> None:
        self.faults += 1
        self.last_fault = f"{where}: {type(error).__name__}: {error}"
        log.error("a flow failed", where=where, exc_info=error)

    async def close(self) -> None:
        """End all that runs; each flow closes its call on the way out."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if all(task in self._tasks for task in tasks):
                break

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fault(task.get_name(), error)

    # --- news ---

    def listen(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def nudge(self) -> None:
        """Something changed that somebody may wait for: a phone is free, an agent came back."""
        for listener in self._listeners:
            listener()

    # --- the state, for status ---

    def snapshot(self) -> dict[str, Any]:
        """Calls, queues and parked callers as JSON-ready values; seconds are rounded to tenths."""
        now = asyncio.get_running_loop().time()
        return {
            "calls": [
                {
                    "id": call.leg.id,
                    "caller": display(call.caller),
                    "dialed": call.leg.dialed,
                    "direction": call.record.direction,
                    "line": call.leg.line,
                    "where": call.where,
                    "with": call.with_,
                    "since": round(now - call.started, 1),
                }
                for call in self.open_calls.values()
            ],
            "queues": [self._queue(name, now) for name in self.clinic.queues],
            "parked": [
                {"slot": slot, "caller": display(parked.call.caller), "since": round(now - parked.since, 1)}
                for slot, parked in self.parked.items()
            ],
            "recent": [
                {
                    "caller": display(record.caller),
                    "path": record.path,
                    "outcome": record.outcome,
                    "by": record.answered_by,
                    "waited": round(record.waited, 1),
                    "talked": round(record.talked, 1),
                }
                for record in self.recent
            ],
            "alarms": list(self.alarms),
            "faults": {"count": self.faults, "last": self.last_fault},
        }

    def _queue(self, name: str, now: float) -> dict[str, Any]:
        rules = self.clinic.queues[name]
        queue = self.queues.get(name)
        return {
            "name": name,
            "label": rules.label,
            "waiting": queue.snapshot(now) if queue is not None else [],
            "agents": [self.agents.snapshot(extension, now) for extension in rules.agents],
        }

    def legs_of(self, extension: str) -> list[Leg]:
        return [leg for leg in self.switch.legs() if leg.extension == extension and leg.ended is None]

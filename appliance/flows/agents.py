"""Who serves the queues: logged in, paused, busy, wrapping up, or just not to be asked again yet (REQ-Q6)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.flows.estimate import Staff
from appliance.flows.ports import Memory, Switch


@dataclass(slots=True)
class _Agent:
    logged_in: bool
    paused: bool
    since: float
    #: not to be rung before these moments
    wrap_up_until: float = 0.0
    rejected_until: float = 0.0
    idle_since: float = 0.0
    ringing: bool = False
    talking: bool = False


class Agents:
    """Agents by extension. Log-in and pause outlive a restart; everybody configured starts logged in."""

    def __init__(self, switch: Switch, memory: Memory) -> None:
        self._switch = switch
        self._memory = memory
        self._agents: dict[str, _Agent] = {}

    # --- what people do ---

    def login(self, extension: str) -> None:
        self._set(extension, logged_in=True, paused=False)

    def logout(self, extension: str) -> None:
        self._set(extension, logged_in=False, paused=False)

    def pause(self, extension: str) -> None:
        self._set(extension, logged_in=self._agent(extension).logged_in, paused=True)

    def unpause(self, extension: str) -> None:
        self._set(extension, logged_in=self._agent(extension).logged_in, paused=False)

    # --- what the queue asks ---

    def serving(self, extension: str) -> bool:
        """Whether this agent is at work: logged in, not paused, with a phone that is there and may be disturbed."""
        agent = self._agent(extension)
        return agent.logged_in and not self._paused(extension) and self._switch.registered(extension)

    def free(self, extensions: Sequence[str]) -> list[str]:
        """Agents who can be rung now, in the order given."""
        now = self._now()
        busy = {leg.extension for leg in self._switch.legs() if leg.extension is not None and leg.ended is None}
        return [
            extension
            for extension in extensions
            if extension not in busy and self.serving(extension) and self._rested(self._agent(extension), now)
        ]

    def staff(self, extensions: Sequence[str]) -> Staff:
        """Those at work, as the waiting time is reckoned from them."""
        now = self._now()
        talking: list[float] = []
        resting: list[float] = []
        busy = {leg.extension for leg in self._switch.legs() if leg.extension is not None and leg.ended is None}
        for extension in filter(self.serving, extensions):
            agent = self._agent(extension)
            if agent.talking:
                talking.append(now - agent.since)
            elif extension in busy and not agent.ringing:
                # A call of their own: nobody knows how long already.
                talking.append(0.0)
            else:
                resting.append(max(0.0, agent.wrap_up_until - now, agent.rejected_until - now))
        return Staff(talking, resting)

    def idle_since(self, extension: str) -> float:
        return self._agent(extension).idle_since

    def rings(self, extension: str) -> None:
        self._agent(extension).ringing = True
        self._agent(extension).since = self._now()

    def stopped_ringing(self, extension: str) -> None:
        self._agent(extension).ringing = False

    def rejected(self, extension: str, rest_seconds: float) -> None:
        """Did not take a call: is left alone for a while."""
        self._agent(extension).rejected_until = self._now() + rest_seconds

    def talks(self, extension: str) -> None:
        agent = self._agent(extension)
        agent.talking, agent.ringing, agent.since = True, False, self._now()

    def finished(self, extension: str, wrap_up_seconds: float) -> None:
        """The talk is over; told again (the agent left it by a transfer before it ended) it changes nothing."""
        agent, now = self._agent(extension), self._now()
        if not agent.talking:
            return
        agent.talking, agent.since, agent.idle_since = False, now, now
        agent.wrap_up_until = now + wrap_up_seconds

    def snapshot(self, extension: str, now: float) -> dict[str, object]:
        """For ``status``: extension, state in one word, seconds in it."""
        agent = self._agent(extension)
        busy = any(leg.extension == extension and leg.ended is None for leg in self._switch.legs())
        if not self._switch.registered(extension):
            state = "unregistered"
        elif not agent.logged_in:
            state = "out"
        elif agent.ringing:
            state = "ringing"
        elif agent.talking or busy:
            state = "on call"
        elif self._paused(extension):
            state = "paused"
        elif agent.wrap_up_until > now:
            state = "wrap-up"
        elif agent.rejected_until > now:
            state = "missed a call"
        else:
            state = "free"
        return {"extension": extension, "state": state, "since": round(now - agent.since, 1)}

    # --- inside ---

    @staticmethod
    def _rested(agent: _Agent, now: float) -> bool:
        return not agent.ringing and not agent.talking and now >= max(agent.wrap_up_until, agent.rejected_until)

    def _paused(self, extension: str) -> bool:
        return self._agent(extension).paused or self._memory.get(f"dnd/{extension}") is True

    def _agent(self, extension: str) -> _Agent:
        if extension not in self._agents:
            kept = self._memory.get(f"agent/{extension}")
            state = kept if isinstance(kept, dict) else {}
            self._agents[extension] = _Agent(bool(state.get("logged_in", True)), bool(state.get("paused", False)), self._now())
        return self._agents[extension]

    def _set(self, extension: str, *, logged_in: bool, paused: bool) -> None:
        agent = self._agent(extension)
        agent.logged_in, agent.paused, agent.since = logged_in, paused, self._now()
        self._memory.put(f"agent/{extension}", {"logged_in": logged_in, "paused": paused})

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

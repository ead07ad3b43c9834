"""Nobody is overtaken (REQ-Q4's ground): whatever callers, agents and phones do, the first in line is served first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from flows.scene import changed, play, straight_to
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.flows.ports import Cause
from appliance.simulation.office import Office
from appliance.simulation.town import SimLeg


@dataclass(frozen=True)
class Habit:
    """What an agent's phone does with one ring after the other, again and again."""

    moves: tuple[str, ...]
    answers_after: float
    talks: float


habits = st.builds(
    Habit,
    st.lists(st.sampled_from(["answer", "ignore", "reject", "busy", "answer late"]), min_size=1, max_size=5).map(tuple),
    st.floats(0.5, 15),
    st.floats(0.2, 120),
)
#: seconds to the next call, and after how many seconds this caller gives up (never: they wait to the end)
callers = st.lists(st.tuples(st.floats(0.05, 40), st.one_of(st.none(), st.floats(0.2, 200))), min_size=2, max_size=25)


class Phone:
    """A phone with a person of this habit."""

    def __init__(self, habit: Habit) -> None:
        self._habit = habit
        self._rings = 0
        self._talking = False

    async def __call__(self, leg: SimLeg) -> None:
        move = self._habit.moves[self._rings % len(self._habit.moves)]
        self._rings += 1
        if self._talking or move == "busy":
            leg.far_hang_up(Cause.BUSY)
            return
        leg.far_ring()
        if move == "ignore":
            return
        await asyncio.sleep(self._habit.answers_after if move != "answer late" else 19.99)
        if move == "reject":
            leg.far_hang_up(Cause.DECLINED)
            return
        self._talking = True
        leg.far_answer()
        try:
            if await leg.far_until(lambda me: bool(me.joined)):
                await asyncio.sleep(self._habit.talks)
        finally:
            self._talking = False
            leg.far_hang_up()


@given(
    arrivals=callers,
    agents=st.lists(habits, min_size=1, max_size=3),
    strategy=st.sampled_from(["ring_all", "linear", "longest_idle"]),
    wrap_up=st.integers(0, 30),
)
@settings(max_examples=150, deadline=None)
def test_nobody_is_overtaken(
    arrivals: list[tuple[float, float | None]], agents: list[Habit], strategy: str, wrap_up: int
) -> None:
    rules = {"strategy": strategy, "wrap_up_seconds": wrap_up, "max_wait_seconds": 3000}
    clinic = changed(queues={"frontdesk": rules}).model_copy(update={"numbers": straight_to("queue:frontdesk").numbers})
    patients: list[SimLeg] = []

    async def gives_up(leg: SimLeg, after: float) -> None:
        await asyncio.sleep(after)
        if leg.talked_at is None:
            leg.far_hang_up()

    async def scene(office: Office) -> None:
        for extension, habit in zip(("101", "102", "103"), agents, strict=False):
            office.phone(extension, Phone(habit))
        for number, (gap, patience) in enumerate(arrivals):
            await asyncio.sleep(gap)
            leg = office.call_in(f"+1217555{number:04d}")
            patients.append(leg)
            if patience is not None:
                office.town.live(gives_up(leg, patience))
        for leg in patients:
            await leg.far_until(lambda me: me.ended is not None or me.hears.startswith("Please leave"))
            leg.far_hang_up()

    play(scene, clinic=clinic, settle=150)
    for place, later in enumerate(patients):
        if later.talked_at is None:
            continue
        for earlier in patients[:place]:
            gone = earlier.ended_at if earlier.talked_at is None else None
            waits = earlier.talked_at is None and (gone is None or gone > later.talked_at + 0.1)
            overtaken = earlier.talked_at is not None and earlier.talked_at > later.talked_at + 0.1
            # One who was led to the mailbox after the longest wait is not in line any more.
            in_line = not any(words.startswith("Please leave") for _, words in earlier.transcript)
            assert not (in_line and (waits or overtaken)), f"{later.far.number} was served before {earlier.far.number}"

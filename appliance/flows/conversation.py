"""Two people talking, and what they may do: hold, transfer, consult, make it three, park.

While it lasts the conversation reads the events of all its legs; nobody's hang-up cancels it, it takes note and acts. A leg
that leaves for another call (:meth:`Conversation.surrender`) is not hung up here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from appliance.config.dialing import IN_CALL, Kind
from appliance.config.schema import Destination
from appliance.flows.call import Call
from appliance.flows.consultation import consult
from appliance.flows.handover import give_away, goes_on, rejoin
from appliance.flows.ports import Cause, Digit, Direction, Ended, Held, Leg, LegEvent, Referred, Resumed, Shown
from appliance.flows.ringing import Ringing

#: after ``*`` the second key of a feature must come within this time
STAR_SECONDS = 1.5
#: a recalled phone that nobody answers is tried this often before the caller goes to the operator
RECALLS = 3
DIAL_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is not a leg's event: a timer, a recall that was answered."""

    what: str
    leg: Leg | None = None
    answered: Leg | None = None


async def talk(call: Call, other: Leg, by: str, *, features: bool = True) -> Destination | None:
    """Answer the caller, join them with ``other`` (answered) and stay until it is over.

    Returns where the caller is to go on to (they were transferred), or ``None``. ``other`` is never left behind.
    """
    try:
        await call.answer()
    except BaseException:
        other.hang_up()
        raise
    # Keys pressed while waiting were for nobody; they are not for who answers.
    call.leg.flush_digits()
    if other.direction is Direction.IN:
        # They dialled a code to take this caller: their display names whom they have now.
        other.show(call.house.shows(call.caller))
    call.connected(by)
    return await Conversation(call, other, features=features).run()


class Conversation:
    """See the module."""

    def __init__(self, call: Call, other: Leg, *, features: bool = True) -> None:
        self.call = call
        self.house = call.house
        self.parties: list[Leg] = [call.leg, other]
        self._features = features
        self._inbox: asyncio.Queue[tuple[Leg, LegEvent] | Note] = asyncio.Queue()
        self._readers: dict[Leg, asyncio.Task[None]] = {}
        self._stars: dict[Leg, asyncio.TimerHandle] = {}
        self._timers: dict[Leg, asyncio.TimerHandle] = {}
        self._recalls: dict[Leg, int] = {}
        self._recalling: dict[Leg, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()

    async def run(self) -> Destination | None:
        task = asyncio.current_task()
        self.call.leg.served_by(None)
        for leg in self.parties:
            self.read(leg)
        try:
            self.connect()
            target = await self._follow()
        finally:
            for reader in self._readers.values():
                reader.cancel()
            for timer in (*self._stars.values(), *self._timers.values()):
                timer.cancel()
            for recalling in self._recalling.values():
                recalling.cancel()
            while not self._inbox.empty():
                if isinstance(news := self._inbox.get_nowait(), Note) and news.answered is not None:
                    news.answered.hang_up()
            for leg in list(self.parties):
                self.house.talks.pop(leg.id, None)
                if leg is not self.call.leg:
                    leg.hang_up()
        if target is not None:
            self.call.leg.served_by(task)
        return target

    def surrender(self, leg: Leg) -> None:
        """Another call takes this leg over; what is left here ends."""
        self.leave(leg)
        leg.served_by(None)
        if leg is self.call.leg:
            self.call.let_go()
        self.over()

    def over(self) -> None:
        """There is nothing left to do here."""
        self._inbox.put_nowait(Note("over"))

    def again(self, leg: Leg, event: LegEvent) -> None:
        """Let an event that was taken early be acted upon in its turn."""
        self._inbox.put_nowait((leg, event))

    def peers(self, leg: Leg) -> list[Leg]:
        return [other for other in self.parties if other is not leg]

    # --- events ---

    async def _follow(self) -> Destination | None:
        while True:
            news = await self._inbox.get()
            if isinstance(news, Note):
                if news.what == "over":
                    return None
                target = await self._noted(news)
                if target is not None:
                    return target
                continue
            leg, event = news
            if leg not in self.parties:
                continue
            if isinstance(event, Ended):
                self.leave(leg)
                if len(self.parties) < 2:
                    return None
                goes_on(self.call, self.parties, leg)
                self.connect()
            elif self._features and isinstance(event, Referred):
                if (target := self._transfer(leg, event)) is not None:
                    return target
            elif isinstance(event, (Held, Resumed)):
                self._hold(leg, isinstance(event, Held))
            elif isinstance(event, Digit) and (target := await self._digit(leg, event.key)) is not None:
                return target

    async def event(self) -> tuple[Leg, LegEvent]:
        """The next event of a leg, while keys are taken: notes of other matters come again later."""
        notes: list[Note] = []
        try:
            while True:
                news = await self._inbox.get()
                if isinstance(news, Note):
                    notes.append(news)
                elif isinstance(news[1], Referred):
                    news[0].refer_result(Cause.FORBIDDEN)
                else:
                    return news
        finally:
            for note in notes:
                self._inbox.put_nowait(note)

    def read(self, leg: Leg) -> None:
        self.house.talks[leg.id] = self
        self._readers[leg] = asyncio.create_task(self._reader(leg))

    async def _reader(self, leg: Leg) -> None:
        while True:
            event = await leg.event()
            self._inbox.put_nowait((leg, event))
            if isinstance(event, Ended):
                return

    def leave(self, leg: Leg) -> None:
        if leg in self.parties:
            self.parties.remove(leg)
        self.house.talks.pop(leg.id, None)
        if reader := self._readers.pop(leg, None):
            reader.cancel()
        self._stop_recall(leg)

    def connect(self) -> None:
        """All hear one another; but who is held by a phone hears music, and the phone is reminded."""
        self.house.switch.join(*self.parties)
        for leg in self.parties:
            if leg.on_hold:
                self._holds(leg)

    # --- hold (REQ-Q7: a held caller always comes back) ---

    def _hold(self, leg: Leg, held: bool) -> None:
        if leg.extension is None:
            return
        if held:
            self._holds(leg)
        else:
            self._stop_recall(leg)
            self._recalls.pop(leg, None)
            self.connect()

    def _holds(self, leg: Leg) -> None:
        if leg.extension is not None:
            if len(others := self.peers(leg)) == 1:
                others[0].music("default")
            if leg not in self._timers and leg not in self._recalling:
                self._timer(leg)

    def _timer(self, leg: Leg) -> None:
        seconds = self.house.clinic.dialing.recall_seconds
        self._timers[leg] = self._loop.call_later(seconds, self._inbox.put_nowait, Note("recall", leg))

    def _stop_recall(self, leg: Leg) -> None:
        if timer := self._timers.pop(leg, None):
            timer.cancel()
        if recalling := self._recalling.pop(leg, None):
            recalling.cancel()

    async def _noted(self, note: Note) -> Destination | None:
        leg = note.leg
        if leg is None or leg not in self.parties:
            if note.answered is not None:
                note.answered.hang_up()
            return None
        if note.what == "star":
            self._relay(leg, "*")
        elif note.what == "recall" and leg.on_hold:
            self._timers.pop(leg, None)
            self._recalls[leg] = self._recalls.get(leg, 0) + 1
            self._recalling[leg] = self.house.adopt(self._recall(leg), "hold recall")
        elif note.what == "recalled" and note.answered is not None:
            self._recalling.pop(leg, None)
            self.leave(leg)
            leg.hang_up()
            self.parties.append(note.answered)
            self.read(note.answered)
            self.connect()
        elif note.what == "nobody" and leg.on_hold:
            self._recalling.pop(leg, None)
            # An emergency centre is never led away from the phone that called it.
            if self._recalls.get(leg, 0) < RECALLS or not self._features:
                self._timer(leg)
            else:
                return self._lead_on(leg, self.house.operator)
        return None

    async def _recall(self, leg: Leg) -> None:
        """Ring the phone that holds somebody."""
        held = self.peers(leg)
        extension = leg.extension
        if extension is None or not held:
            return
        shown = Shown(self.house.shows(held[0].far), via="On hold")
        rung = await Ringing(self.house).run(
            [lambda: self.house.switch.ring_phone(extension, shown)], self.house.clinic.phone_ring_seconds(extension)
        )
        what = "recalled" if rung.winner is not None else "nobody"
        self._inbox.put_nowait(Note(what, leg, rung.winner))

    # --- keys ---

    async def _digit(self, leg: Leg, key: str) -> Destination | None:
        if not self._features or leg.extension is None:
            self._relay(leg, key)
            return None
        pending = self._stars.pop(leg, None)
        if pending is None:
            if key == "*":
                self._stars[leg] = self._loop.call_later(STAR_SECONDS, self._star_over, leg)
            else:
                self._relay(leg, key)
            return None
        pending.cancel()
        match IN_CALL.get(f"*{key}"):
            case "blind transfer":
                return await self._blind_by_keys(leg)
            case "attended transfer" | "conference":
                return await consult(self, leg)
            case "park":
                return self._lead_on(leg, Destination("park", ""))
        self._relay(leg, "*" + key)
        return None

    def _star_over(self, leg: Leg) -> None:
        if self._stars.pop(leg, None) is not None:
            self._inbox.put_nowait(Note("star", leg))

    def _relay(self, leg: Leg, keys: str) -> None:
        """Keys that are no feature are for the other side: a bank's menu, an insurer's."""
        for other in self.peers(leg):
            other.send_digits(keys)

    async def dialed(self, leg: Leg) -> str:
        """Digits a phone dials within the call, until ``#``, a pause, or an extension is complete."""
        digits = ""
        while True:
            try:
                async with asyncio.timeout(DIAL_SECONDS):
                    who, event = await self.event()
            except TimeoutError:
                return digits
            if isinstance(event, Ended):
                self.again(who, event)
                # Who dials and hangs up at once has said all they wanted.
                return digits if who is leg else ""
            if who is leg and isinstance(event, Digit):
                if event.key == "#":
                    return digits
                digits += event.key
                if self.house.clinic.phone(digits) is not None or digits in self.house.clinic.dialing.park_slots:
                    return digits

    # --- transfers ---

    def target_of(self, leg: Leg, dialed: str) -> Destination | None:
        """Where this phone may send the other party; a phone that may not call out sends nobody there."""
        understood = self.house.understand(dialed)
        phone = self.house.clinic.phone(leg.extension or "")
        if understood.kind is Kind.OUTSIDE and phone is not None and not phone.outside_calls:
            return None
        kinds = {Kind.EXTENSION: "extension", Kind.OUTSIDE: "number", Kind.PARK: "park"}
        kind = kinds.get(understood.kind)
        return Destination(kind, understood.number) if kind is not None else None

    async def _blind_by_keys(self, leg: Leg) -> Destination | None:
        others = self.peers(leg)
        if len(others) != 1:
            return None
        others[0].music("default")
        await leg.play(self.house.prompts.phrase("transfer.to"))
        target = self.target_of(leg, await self.dialed(leg))
        if target is None:
            await leg.play(self.house.prompts.phrase("transfer.failed"))
            self.connect()
            return None
        return self._lead_on(leg, target)

    def _transfer(self, leg: Leg, wish: Referred) -> Destination | None:
        """REFER from a phone (RFC 3515); outside parties may not send our callers anywhere."""
        others = self.peers(leg)
        if leg.extension is None or len(others) != 1:
            leg.refer_result(Cause.FORBIDDEN)
            return None
        consulted = wish.consulted
        if consulted is not None and (second := self.house.talks.get(consulted.id)) is not None and second is not self:
            return self._attended(leg, consulted, second)
        target = self.target_of(leg, consulted.dialed if consulted is not None else wish.target)
        if target is None:
            leg.refer_result(Cause.NOT_FOUND)
            return None
        leg.refer_result(Cause.NORMAL)
        if consulted is not None:
            consulted.hang_up()
        return self._lead_on(leg, target)

    def _attended(self, leg: Leg, consulted: Leg, second: Conversation) -> Destination | None:
        """Connect our far party with the consulted one; the phone leaves both calls."""
        theirs = second.peers(consulted)
        mine = self.peers(leg)[0]
        if len(theirs) != 1:
            leg.refer_result(Cause.FORBIDDEN)
            return None
        leg.refer_result(Cause.NORMAL)
        second.surrender(theirs[0])
        consulted.hang_up()
        self.leave(leg)
        leg.hang_up()
        if mine is self.call.leg:
            self.parties.append(theirs[0])
            self.read(theirs[0])
            goes_on(self.call, self.parties, leg)
            self.connect()
            return None
        self.leave(mine)
        rejoin(self.house, mine, theirs[0], leg)
        self.over()
        return None

    def _lead_on(self, leg: Leg, target: Destination) -> Destination | None:
        """The phone ``leg`` leaves, its far party goes to ``target``; comes back to the phone when nobody is there."""
        if len(others := self.peers(leg)) != 1 or leg.extension is None:
            return None
        self.leave(leg)
        leg.hang_up()
        return self.send_on(others[0], target, leg)

    def send_on(self, far: Leg, target: Destination, leg: Leg) -> Destination | None:
        """``far`` goes to ``target``, and back to the phone ``leg`` that has left when nobody is there."""
        back = Destination("extension", leg.extension) if leg.extension is not None else None
        if far is self.call.leg:
            self.call.fallback = back
            self.call.forwarded.clear()
            return target
        self.leave(far)
        give_away(self.house, far, target, back)
        self.over()
        return None

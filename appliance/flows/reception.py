"""The front door: every new call, from a line or from a phone of the house."""

from __future__ import annotations

import asyncio

from appliance.config.dialing import Kind
from appliance.config.schema import Destination
from appliance.flows.call import opened
from appliance.flows.destinations import lead, lead_safely
from appliance.flows.emergency import emergency, emergency_test
from appliance.flows.features import feature
from appliance.flows.hours import Period, state
from appliance.flows.house import House
from appliance.flows.park import retrieve
from appliance.flows.ports import Cause, Leg


class Reception:
    """Receives calls for a house."""

    def __init__(self, house: House) -> None:
        self.house = house

    def incoming(self, leg: Leg) -> None:
        """A call has arrived; called by the switch.

        The flow names itself the leg's server once it has begun: a caller who is gone before that has a record too.
        """
        work = self._outside(leg) if leg.line is not None else self._inside(leg)
        self.house.adopt(work, f"call {leg.id}")

    async def _outside(self, leg: Leg) -> None:
        """A patient calls (REQ-A3): the number called and the hour choose the way."""
        with opened(self.house, leg, "in") as call:
            leg.served_by(asyncio.current_task())
            call.promise()
            await lead_safely(call, self._choose(leg.dialed))

    def _choose(self, dialed: str) -> Destination:
        house = self.house
        number = house.clinic.number(dialed)
        if number is None:
            # A provider may send a number nobody has entered: a person is a better answer than a tone.
            number = house.clinic.numbers[0] if house.clinic.numbers else None
        if number is None:
            return house.operator
        if number.hours is None:
            return number.open
        period = state(house.clinic.hours[number.hours], house.now(), house.clinic.clinic)
        closed = number.closed or house.operator
        return {
            Period.OPEN: number.open,
            Period.LUNCH: number.lunch or closed,
            Period.HOLIDAY: number.holiday or closed,
            Period.CLOSED: closed,
        }[period]

    async def _inside(self, leg: Leg) -> None:
        """A phone of the house dials. Emergencies come before everything else."""
        house = self.house
        understood = house.understand(leg.dialed)
        direction = "out" if understood.kind in {Kind.OUTSIDE, Kind.EMERGENCY} else "internal"
        with opened(house, leg, direction) as call:
            leg.served_by(asyncio.current_task())
            match understood.kind:
                case Kind.EMERGENCY:
                    call.at(f"emergency:{understood.number}")
                    await emergency(call, understood.number)
                case Kind.EMERGENCY_TEST:
                    call.at("emergency test")
                    await emergency_test(call)
                case Kind.FEATURE:
                    call.at(f"feature:{understood.number}")
                    await lead(call, await feature(call, understood.number, understood.argument))
                case Kind.PARK:
                    call.at(f"retrieve:{understood.number}")
                    await lead(call, await retrieve(call, understood.number))
                case Kind.EXTENSION:
                    await lead(call, Destination("extension", understood.number))
                case Kind.OUTSIDE:
                    await lead(call, Destination("number", understood.number))
                case Kind.INVALID:
                    call.refusal, call.outcome = Cause.NOT_FOUND, "not found"

"""Whom the called party of an outside call sees: rules of the line, of the phone, of a forwarded caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from appliance.flows.ports import Party

if TYPE_CHECKING:
    from appliance.flows.call import Call


def presented(call: Call, line: str) -> tuple[Party, Mapping[str, str]]:
    """The caller to present on this line, and headers that belong to it.

    A patient who is sent on to an outside number shows their own number where the line allows it, with the clinic's in
    Diversion (RFC 5806). A phone with a number of its own shows that, if it is the line's. Else the line's own.
    """
    house = call.house
    rules = house.clinic.line(line)
    name = house.clinic.clinic.name
    if rules is None:
        return Party("", name), {}
    if call.leg.line is not None and rules.pass_caller and call.caller.number:
        return call.caller, {"Diversion": f"<tel:{rules.caller_id}>;reason=unconditional"}
    phone = house.clinic.phone(call.leg.extension or "")
    if phone is not None and phone.caller_id in rules.numbers:
        return Party(phone.caller_id, name), {}
    return Party(rules.caller_id, name), {}


def emergency_callback(call: Call, line: str) -> Party:
    """Whom an emergency centre calls back: the number set for it, else the line's own (47 CFR 9.16)."""
    clinic = call.house.clinic
    rules = clinic.line(line)
    return Party(clinic.dialing.emergency_callback or (rules.caller_id if rules is not None else ""), clinic.clinic.name)

"""The automatic attendant (REQ-A1)."""

from __future__ import annotations

from appliance.config.schema import Destination, Menu
from appliance.flows.call import Call
from appliance.flows.keys import key_after, more_keys

#: people pause about this long between the digits of an extension
DIGIT_PAUSE = 1.5


async def menu(call: Call, name: str) -> Destination | None:
    """Play the greeting, take a key; 0 is the operator, ``*`` says it again, an extension can be dialled when allowed."""
    house = call.house
    rules = house.clinic.menus[name]
    await call.answer()
    greeting = house.prompts.text(rules.greeting)
    heard_nothing = True
    attempt = 0
    while attempt < rules.tries:
        key = await key_after(call, greeting, rules.wait_seconds)
        if key is None:
            attempt += 1
            if attempt < rules.tries:
                await call.leg.play(house.prompts.phrase("menu.no_input"))
            continue
        heard_nothing = False
        if key == "*" and "*" not in rules.keys:
            # Asking for it again is no mistake, but a stuck key must not repeat for ever.
            attempt += 1
            continue
        target = await _choice(call, rules, key)
        if target is not None:
            return target
        attempt += 1
        if attempt < rules.tries:
            await call.leg.play(house.prompts.phrase("menu.invalid"))
    if heard_nothing:
        return rules.no_input or house.operator
    return rules.bad_input or rules.no_input or house.operator


async def _choice(call: Call, rules: Menu, key: str) -> Destination | None:
    """What a key, or an extension that begins with it, leads to."""
    clinic = call.house.clinic
    if rules.dial_extension and any(phone.extension.startswith(key) for phone in clinic.phones):
        longest = max(len(phone.extension) for phone in clinic.phones)
        keys = await more_keys(call, key, DIGIT_PAUSE, longest)
        if clinic.phone(keys) is not None:
            return Destination("extension", keys)
        if len(keys) > 1:
            return None
    if key in rules.keys:
        return rules.keys[key]
    return call.house.operator if key == "0" else None

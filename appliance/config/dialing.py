"""What somebody dialled: an emergency first of all, then a feature, a park slot, an extension, an outside number."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers

from appliance.config.schema import Clinic, Dialing

#: North American emergency numbers (47 CFR 9.3); 933 reads the location back and reaches nobody
EMERGENCY = ("911",)
EMERGENCY_TEST = "933"

#: Star codes, as Asterisk, FreePBX and the Bell system name them.
FEATURES = {
    "*78": "dnd on",
    "*79": "dnd off",
    "*72": "forward on",
    "*73": "forward off",
    "*45": "login",
    "*46": "logout",
    "*47": "pause",
    "*48": "unpause",
    "*8": "group pickup",
    "**": "pickup",
    "*97": "voicemail",
}
#: keys during a call
IN_CALL = {"*1": "blind transfer", "*2": "attended transfer", "*3": "conference", "*4": "park"}


class Kind(enum.Enum):
    EMERGENCY = "emergency"
    EMERGENCY_TEST = "emergency test"
    FEATURE = "feature"
    PARK = "park"
    EXTENSION = "extension"
    OUTSIDE = "outside"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Dialed:
    """What was dialled. ``number`` is E.164 for outside, the code for emergencies, the extension, slot or feature name;
    ``argument`` what follows a feature code; ``why`` tells the caller's screen why it is invalid."""

    kind: Kind
    number: str = ""
    argument: str = ""
    why: str = ""


def emergency(dialed: str, prefix: str = "9") -> str | None:
    """``"911"`` or ``"933"`` when that is what was meant, with or without the outside prefix, else ``None``.

    Kari's Law (47 CFR 9.16): 911 works without a prefix; people who are used to one may dial it all the same.
    """
    digits = re.sub(r"[\s().-]", "", dialed)
    for code in (*EMERGENCY, EMERGENCY_TEST):
        if digits in {code, f"{prefix}{code}", f"9{code}", f"+1{code}", f"+{code}"}:
            return code
    return None


def understand(dialed: str, clinic: Clinic) -> Dialed:
    """What a phone of the house dialled; never raises."""
    plan = clinic.dialing
    code = emergency(dialed, plan.outside_prefix)
    if code is not None:
        return Dialed(Kind.EMERGENCY_TEST if code == EMERGENCY_TEST else Kind.EMERGENCY, code)
    digits = re.sub(r"[\s().-]", "", dialed)
    if digits.startswith("*"):
        for star in sorted(FEATURES, key=len, reverse=True):
            if digits.startswith(star):
                return Dialed(Kind.FEATURE, FEATURES[star], digits[len(star) :])
        return Dialed(Kind.INVALID, digits, why="there is no such star code")
    if digits in plan.park_slots:
        return Dialed(Kind.PARK, digits)
    if clinic.phone(digits) is not None:
        return Dialed(Kind.EXTENSION, digits)
    return _outside(digits, plan, clinic.clinic.country)


def _outside(digits: str, plan: Dialing, country: str) -> Dialed:
    candidates = [digits]
    if plan.outside_prefix and digits.startswith(plan.outside_prefix):
        candidates.insert(0, digits[len(plan.outside_prefix) :])
    for candidate in candidates:
        if re.fullmatch(r"\d{7}", candidate) and plan.area_code and country == "US":
            candidate = plan.area_code + candidate  # noqa: PLW2901 - the same number, written out
        number = e164(candidate, country)
        if not number:
            continue
        home = phonenumbers.country_code_for_region(country)
        if not number.startswith(f"+{home}") and not plan.allow_international:
            return Dialed(Kind.INVALID, number, why="calls abroad are not allowed here")
        return Dialed(Kind.OUTSIDE, number)
    return Dialed(Kind.INVALID, digits, why="this is neither an extension nor a telephone number")


@lru_cache(maxsize=4096)
def e164(text: str, country: str) -> str:
    """A number in full, ``""`` when it is none. ``(217) 555-0100``, ``12175550100``, ``011…`` and ``+…`` are understood."""
    if re.fullmatch(r"\+1[2-9]\d{9}", text):
        return text
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))

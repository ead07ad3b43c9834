"""What somebody dialled: an emergency first of all, then a feature, a park slot, an extension, an outside number."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import shortnumberinfo

from appliance.config.schema import Clinic, Dialing

#: the emergency number of North America (47 CFR 9.3), understood everywhere; 933 reads the location back, reaches nobody
EMERGENCY = "911"
EMERGENCY_TEST = "933"
#: emergency numbers of the world that a country may have beside those it is known by
_CANDIDATES = ("112", "110", "999", "000", "113", "115", "117", "118", "119", "15", "17", "18", "100", "101", "102", "108")
#: country code 1: the United States and their territories, Canada. The other twenty of that code are abroad, and dear:
#: calls to them are how stolen telephones are turned into money
_HOME_OF_ONE = frozenset({"US", "CA", "PR", "VI", "GU", "AS", "MP"})

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


def emergency(dialed: str, prefix: str = "9", country: str = "US") -> str | None:
    """The number to call, or ``"933"``, when that is what was meant, with or without an outside prefix; else ``None``.

    Kari's Law (47 CFR 9.16): 911 works without a prefix; people who are used to one, or to 1 before everything, dial it all
    the same, and ``1911`` is no other number. 112 is an emergency where the country says so; in North America only mobile
    networks know it, and to an office it is an extension like any other.
    """
    digits = re.sub(r"[\s().-]|#$", "", dialed)
    codes = _codes(country)
    for code in (*codes, EMERGENCY, EMERGENCY_TEST):
        before = {"", prefix, "9", "+"} | ({"1", f"{prefix}1", "91", "+1"} if code in {EMERGENCY, EMERGENCY_TEST} else set())
        if digits in {f"{start}{code}" for start in before}:
            return codes[0] if code == EMERGENCY and code not in codes else code
    return None


@lru_cache(maxsize=16)
def _codes(country: str) -> tuple[str, ...]:
    """Emergency numbers of a country, the one to call for everything first."""
    if country in {"US", "CA"}:
        return (EMERGENCY,)
    found = [code for code in (EMERGENCY, *_CANDIDATES) if shortnumberinfo.is_emergency_number(code, country)]
    # Any of these brings an ambulance; in Australia 112 is for mobiles, in Japan 110 for the police alone.
    first = (EMERGENCY, "000", "112", "119")
    return tuple(sorted(found, key=lambda code: first.index(code) if code in first else len(first))) or (EMERGENCY,)


def understand(dialed: str, clinic: Clinic) -> Dialed:
    """What a phone of the house dialled; never raises."""
    plan = clinic.dialing
    code = emergency(dialed, plan.outside_prefix, clinic.clinic.country)
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
    local = phonenumbers.country_code_for_region(country) == 1 and plan.area_code
    for candidate in candidates:
        full = plan.area_code + candidate if local and re.fullmatch(r"[2-9][0-9]{6}", candidate) else candidate
        number = e164(full, country)
        if not number:
            continue
        why = "" if plan.allow_international else _forbidden(number, country)
        return Dialed(Kind.INVALID if why else Kind.OUTSIDE, number, why=why)
    return Dialed(Kind.INVALID, digits, why="this is neither an extension nor a telephone number")


def _forbidden(number: str, country: str) -> str:
    """Why a number is not for everybody's phone; ``""`` when it is."""
    parsed = phonenumbers.parse(number)
    code = phonenumbers.country_code_for_region(country)
    region = phonenumbers.region_code_for_number(parsed)
    home = {country} | (_HOME_OF_ONE if country in _HOME_OF_ONE else set())
    if parsed.country_code != code or (code == 1 and region is not None and region not in home):
        return "calls abroad are not allowed here"
    if phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.PREMIUM_RATE:
        return "calls that cost extra are not allowed here"
    return ""


@lru_cache(maxsize=4096)
def e164(text: str, country: str) -> str:
    """A number in full, ``""`` when it is none. ``(217) 555-0100``, ``12175550100``, ``011…`` and ``+…`` are understood."""
    if re.fullmatch(r"\+1[2-9][0-9]{9}", text):
        return text
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return ""
    # What is possible only within an area lacks its area code.
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return ""
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))

"""Who speaks, as a header tells it: made safe for phones, screens, records and the next header it is written into."""

from __future__ import annotations

import re
from urllib.parse import unquote

from appliance.flows.ports import Party
from appliance.sip.message import Address, BadMessage

NAME_LENGTH, NUMBER_LENGTH = 80, 64

#: what a number or a user name may carry on into another header; the rest is dropped
_FOREIGN = re.compile(r"[^0-9A-Za-z+*#._~-]")
#: control characters (a terminal obeys some of them), lone surrogates, and marks that turn text around
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_WITHHELD = frozenset({"anonymous", "unavailable", "restricted", "unknown"})


def clean(text: str, length: int = NAME_LENGTH) -> str:
    """Text from outside that people and programs will read: one line, no control characters, not longer than ``length``."""
    return _UNSEEN.sub(" ", text[: 4 * length]).strip()[:length]


def user_of(uri: str) -> str:
    """The user part of a sip, sips or tel URI, unescaped, without its parameters; ``""`` when it has none."""
    scheme, _, rest = uri.partition(":")
    match scheme.strip().lower():
        case "sip" | "sips":
            user, at, _ = rest.partition("@")
            if not at:
                return ""
        case "tel":
            user = rest
        case _:
            return ""
    user = re.split("[:;?]", user, maxsplit=1)[0]
    return _FOREIGN.sub("", unquote(user[: 4 * NUMBER_LENGTH]))[:NUMBER_LENGTH]


def name_addr(party: Party, domain: str, via: str = "") -> str:
    """The party as a From or P-Asserted-Identity value of ours; ``via`` stands beside the name (``"Ana R · Front desk"``)."""
    name = " · ".join(part for part in (party.name or (party.number if via else ""), via) if part)
    name = clean(name.replace("\\", "").replace('"', "'"))
    user = _FOREIGN.sub("", party.number) or "anonymous"
    return f'"{name}" <sip:{user}@{domain}>' if name else f"<sip:{user}@{domain}>"


def party_of(header: str) -> Party:
    """The party in a From, P-Asserted-Identity or Contact value (RFC 3261 section 20.20)."""
    try:
        address = Address.parse(header)
    except BadMessage:
        return Party()
    number = user_of(address.uri)
    if number.lower() in _WITHHELD:
        return Party()
    # Without quotes and backslashes it can be quoted again as it is.
    return Party(number, clean(address.name.replace('"', "'").replace("\\", "")))

"""Which digest algorithms a phone is offered.

RFC 8760 has the registrar offer SHA-256 and MD5 and the phone take the one it knows. Some phones give up at the first name
they do not know. One that asks again without having answered is offered MD5 alone, and is remembered with its address, so
that it need not fail again after its next start. Others, strangers who guess at names included, see no difference.
"""

from __future__ import annotations

from collections import OrderedDict

from appliance.flows.ports import Memory

BOTH = ("SHA-256", "MD5")
PLAIN = ("MD5",)
#: how many who were asked and have not answered are remembered
ASKED = 5_000


class Offers:
    """By address and user name as claimed."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._asked: OrderedDict[tuple[str, str], tuple[str, ...]] = OrderedDict()

    def to(self, address: str, user: str) -> tuple[str, ...]:
        """The algorithms to offer now, the stronger first."""
        key = (address, user)
        plain = key in self._asked or self._memory.get(f"digest/{user}") == address
        self._asked[key] = offer = PLAIN if plain else BOTH
        self._asked.move_to_end(key)
        if len(self._asked) > ASKED:
            self._asked.popitem(last=False)
        return offer

    def answered(self, address: str, user: str) -> None:
        """The phone has signed in with what it was offered."""
        offer = self._asked.pop((address, user), BOTH)
        if offer == PLAIN:
            self._memory.put(f"digest/{user}", address)

"""Bodies of notifications: dialog-info (RFC 4235) for busy lamps, message-summary (RFC 3842) for message lamps."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr


@dataclass(frozen=True, slots=True)
class Presence:
    """What an extension does: ``idle``, ``ringing`` or ``in-use``; ``id`` tells its calls apart, ``""`` when idle."""

    state: str = "idle"
    id: str = ""

    @property
    def dialog_state(self) -> str:
        """RFC 4235 section 3.7.1."""
        return {"ringing": "early", "in-use": "confirmed"}.get(self.state, "terminated")


def dialog_info(entity: str, version: int, presence: Presence) -> str:
    """A full-state document (RFC 4235 section 4.1); an idle extension has no dialog element.

    It carries no call-id and no tags: a lamp tells that somebody talks, not with whom.
    """
    head = (
        '<?xml version="1.0"?>\r\n<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" '
        f'version="{version}" state="full" entity={quoteattr(entity)}>\r\n'
    )
    body = ""
    if presence.state != "idle":
        direction = ' direction="recipient"' if presence.state == "ringing" else ""
        body = (
            f"<dialog id={quoteattr(presence.id or 'call')}{direction}>\r\n"
            f"<state>{presence.dialog_state}</state>\r\n"
            f"<local><identity>{escape(entity)}</identity><target uri={quoteattr(entity)}/></local>\r\n</dialog>\r\n"
        )
    return head + body + "</dialog-info>\r\n"


def message_summary(account: str, new: int, old: int) -> str:
    """RFC 3842 section 5.2."""
    waiting = "yes" if new else "no"
    return f"Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\nVoice-Message: {new}/{old} (0/0)\r\n"

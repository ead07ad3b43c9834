"""Who watches what: SUBSCRIBE and NOTIFY (RFC 6665) for busy lamps and message lamps.

A subscription is a small dialog of its own, kept here: Call-ID, tags, sequence, where the phone is. Changes of one turn of
the loop are gathered into one NOTIFY; the next NOTIFY of a subscription waits for the answer to the one before.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.sip.dialoginfo import Presence, dialog_info, message_summary
from appliance.sip.message import Address, Request, Uri

EVENTS = {"dialog": "application/dialog-info+xml", "message-summary": "application/simple-message-summary"}
SHORTEST, USUAL, LONGEST = 60, 600, 3600
MOST_PER_PHONE = 100


@dataclass(frozen=True, slots=True)
class OutgoingNotify:
    """A NOTIFY to be sent, as PJSIP needs it; addresses with angle brackets, ``target`` bare."""

    target: str
    from_: str
    to: str
    contact: str
    call_id: str
    cseq: int
    from_tag: str
    to_tag: str
    headers: tuple[tuple[str, str], ...]
    content_type: str
    body: str


@dataclass(slots=True)
class Subscription:
    """One watcher. ``resource`` is the extension watched, or the mailbox whose lamp it is."""

    event: str
    resource: str
    watcher: str
    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    target: str
    routes: tuple[str, ...]
    expires: float
    id: str = ""
    cseq: int = 0
    version: int = 0
    waiting: int | None = None
    again: bool = field(default=False)


class Subscriptions:
    """All subscriptions. ``send`` hands a NOTIFY out and returns its token; ``now`` gives epoch seconds."""

    def __init__(self, domain: str, contact: str, now: Callable[[], float], send: Callable[[OutgoingNotify], int]) -> None:
        self._domain = domain
        self._contact = contact
        self._now = now
        self._send = send
        self._by_dialog: dict[tuple[str, str], Subscription] = {}
        self._by_resource: dict[tuple[str, str], set[tuple[str, str]]] = {}
        self._by_token: dict[int, tuple[str, str]] = {}
        self._presence: dict[str, Presence] = {}
        self._messages: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._by_dialog)

    def subscribe(self, request: Request, watcher: str) -> tuple[int, tuple[tuple[str, str], ...], str, Subscription | None]:
        """An authenticated SUBSCRIBE: status, headers and To tag of the answer, and who is to be notified after it."""
        event, *details = (part.strip() for part in request.header("Event").lower().split(";"))
        if event not in EVENTS:
            return 489, (("Allow-Events", ", ".join(EVENTS)),), "", None
        asked = request.number("Expires", USUAL) or 0
        if 0 < asked < SHORTEST:
            return 423, (("Min-Expires", str(SHORTEST)),), "", None
        seconds = min(asked, LONGEST)
        key = (request.header("Call-ID"), request.tag("To"))
        if request.tag("To"):
            known = self._by_dialog.get(key)
            if known is None or known.watcher != watcher:
                return 481, (), "", None
            known.expires = self._now() + seconds
            known.target = self._target(request)
            return 200, self._granted(seconds), known.local_tag, known
        if sum(1 for s in self._by_dialog.values() if s.watcher == watcher) >= MOST_PER_PHONE:
            return 503, (("Retry-After", "60"),), "", None
        resource = Uri.parse(request.uri).user or watcher
        fresh = Subscription(
            event=event,
            resource=resource,
            watcher=watcher,
            call_id=request.header("Call-ID"),
            local=f"<sip:{resource}@{self._domain}>",
            remote=f"<{Address.parse(request.header('From')).uri}>",
            local_tag=secrets.token_hex(8),
            remote_tag=request.tag("From"),
            target=self._target(request),
            routes=tuple(request.raw("Record-Route")),
            expires=self._now() + seconds,
            # NOTIFY names the event as SUBSCRIBE did (RFC 6665 section 8.2.1)
            id=next((detail for detail in details if re.fullmatch(r"id=[\w.~-]{1,40}", detail)), ""),
        )
        key = (fresh.call_id, fresh.local_tag)
        self._by_dialog[key] = fresh
        self._by_resource.setdefault((event, resource), set()).add(key)
        return 200, self._granted(seconds), fresh.local_tag, fresh

    def notify(self, subscription: Subscription) -> None:
        """Send the state as it is now; one whose time is over gets its last."""
        key = (subscription.call_id, subscription.local_tag)
        left = round(subscription.expires - self._now())
        if subscription.waiting is not None and left > 0:
            subscription.again = True
            return
        subscription.cseq += 1
        body = self._body(subscription)
        subscription.version += 1
        state = f"active;expires={left}" if left > 0 else "terminated;reason=timeout"
        event = f"{subscription.event};{subscription.id}" if subscription.id else subscription.event
        headers = [("Event", event), ("Subscription-State", state)]
        headers += [("Route", route) for route in subscription.routes]
        token = self._send(
            OutgoingNotify(
                target=subscription.target,
                from_=subscription.local,
                to=subscription.remote,
                contact=f"<{self._contact}>",
                call_id=subscription.call_id,
                cseq=subscription.cseq,
                from_tag=subscription.local_tag,
                to_tag=subscription.remote_tag,
                headers=tuple(headers),
                content_type=EVENTS[subscription.event],
                body=body,
            )
        )
        if left > 0:
            subscription.waiting = token
            self._by_token[token] = key
        else:
            self._forget(key)

    def answered(self, token: int, code: int) -> None:
        """The phone's answer to a NOTIFY (408 when none came): a dead watcher is forgotten (RFC 6665 section 4.2.2)."""
        key = self._by_token.pop(token, None)
        subscription = self._by_dialog.get(key) if key is not None else None
        if key is None or subscription is None:
            return
        subscription.waiting = None
        if code in {404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 503, 604}:
            self._forget(key)
        elif subscription.again:
            subscription.again = False
            self.notify(subscription)

    def presence(self, extension: str, presence: Presence) -> None:
        """An extension's state changed: its watchers are told."""
        if self._presence.get(extension, Presence()) == presence:
            return
        self._presence[extension] = presence
        self._tell("dialog", extension)

    def messages(self, mailbox: str, new: int, old: int) -> None:
        if self._messages.get(mailbox) != (new, old):
            self._messages[mailbox] = (new, old)
            self._tell("message-summary", mailbox)

    def sweep(self) -> None:
        """End what has expired with a last NOTIFY."""
        now = self._now()
        for subscription in [s for s in self._by_dialog.values() if s.expires <= now]:
            self.notify(subscription)

    def _tell(self, event: str, resource: str) -> None:
        for key in list(self._by_resource.get((event, resource), ())):
            self.notify(self._by_dialog[key])

    def _body(self, subscription: Subscription) -> str:
        if subscription.event == "dialog":
            entity = f"sip:{subscription.resource}@{self._domain}"
            presence = self._presence.get(subscription.resource, Presence())
            return dialog_info(entity, subscription.version, presence)
        new, old = self._messages.get(subscription.resource, (0, 0))
        return message_summary(f"sip:{subscription.resource}@{self._domain}", new, old)

    @staticmethod
    def _target(request: Request) -> str:
        """The phone's contact, reached at the address its request came from (RFC 3581, as with its registration)."""
        user = Uri.parse(Address.parse(request.header("Contact") or request.header("From")).uri).user
        transport = request.transport.lower()
        return f"sip:{user}@{request.source}" + ("" if transport == "udp" else f";transport={transport}")

    def _granted(self, seconds: int) -> tuple[tuple[str, str], ...]:
        return (("Expires", str(seconds)), ("Contact", f"<{self._contact}>"))

    def _forget(self, key: tuple[str, str]) -> None:
        subscription = self._by_dialog.pop(key, None)
        if subscription is None:
            return
        if subscription.waiting is not None:
            self._by_token.pop(subscription.waiting, None)
        watched = self._by_resource.get((subscription.event, subscription.resource))
        if watched is not None:
            watched.discard(key)
            if not watched:
                del self._by_resource[(subscription.event, subscription.resource)]

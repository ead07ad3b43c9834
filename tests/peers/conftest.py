"""A box with a provider on its trunk, and softphones to register."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from peers.box import Box
from peers.marks import PATIENT
from peers.rawsip import Peer, certificate, elsewhere

from appliance.simulation.phones import Phones, Telephone

#: every box of a test run has a loopback address of its own, and no two test runs share one
_addresses = (f"127.{10 + os.getpid() // 250 % 200}.{1 + os.getpid() % 250}.{n}" for n in itertools.count(1))


@pytest.fixture
async def box(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Box]:
    """The demo clinic, always open; ``@pytest.mark.clinic(change)`` changes its file's text before the box starts."""
    marker = request.node.get_closest_marker("clinic")
    box = Box(tmp_path, next(_addresses), *(marker.args if marker is not None else ()))
    await box.start()
    yield box
    await box.stop()


@pytest.fixture
async def secure_box(tmp_path: Path) -> AsyncIterator[Box]:
    """The demo clinic with SIP over TLS; its certificate is ``sip.crt`` in its folder."""
    address = next(_addresses)
    made, key = await certificate(tmp_path, address)
    tls = f'[sip]\ntls_port = 5061\ntls_certificate = "{made}"\ntls_key = "{key}"'
    box = Box(tmp_path, address, lambda text: text.replace("[sip]", tls, 1))
    await box.start()
    yield box
    await box.stop()


Strangers = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def stranger() -> AsyncIterator[Strangers]:
    """Opens raw peers; the first argument is the box, ``number`` chooses among addresses of strangers."""
    made: list[Peer] = []

    async def open_one(box: Box, transport: str = "UDP", *, number: int = 0, own: str = "", port: int = 0) -> Peer:
        trust = box.folder / "sip.crt" if transport == "TLS" else None
        peer = await Peer.open(
            box.address,
            own or elsewhere(box.address, number),
            transport,
            port=port,
            to=5061 if transport == "TLS" else 5060,
            trust=trust,
        )
        made.append(peer)
        return peer

    yield open_one
    for peer in made:
        peer.close()


MakePhones = Callable[..., Awaitable[Phones]]


@pytest.fixture
async def softphones(box: Box, tmp_path: Path) -> AsyncIterator[MakePhones]:
    """Makes softphone processes at the box's address; ended after the test."""
    made: list[Phones] = []

    async def make(port: int, codecs: str = "PCMU,PCMA,G722,opus", address: str = "") -> Phones:
        phones = Phones()
        phones.recordings = tmp_path / f"heard-{len(made)}"
        phones.recordings.mkdir()
        made.append(phones)
        await phones.start(address or box.address, port, 30000 + 4000 * len(made), codecs)
        return phones

    yield make
    for phones in made:
        assert await phones.stop() == 0


@pytest.fixture
async def provider(box: Box, softphones: MakePhones) -> Phones:
    """The provider's end of the trunk: patients call through it, outside calls arrive there."""
    phones = await softphones(5090)
    await phones.account("trunk", mark=PATIENT)
    await box.until(lambda status: status["lines"][0]["up"], 30)
    return phones


@pytest.fixture
async def desk(box: Box, softphones: MakePhones) -> Phones:
    """A process for phones of the house."""
    return await softphones(5070)


Patient = Callable[..., Telephone]


@pytest.fixture
def patient(box: Box, provider: Phones) -> Patient:
    """Lets a patient call the clinic."""

    def call(number: str = "+12175559001", to: str = "+12175550100", **more: object) -> Telephone:
        return provider.call("trunk", f"sip:{to}@{box.address}:5060", number=number, display="Pat Doe", **more)

    return call

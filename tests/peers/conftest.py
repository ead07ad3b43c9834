"""A box with a provider on its trunk, and softphones to register."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from peers.box import Box
from peers.marks import PATIENT

from appliance.simulation.phones import Phones, Telephone

#: every box of a test run has a loopback address of its own, and no two test runs share one
_addresses = (f"127.{10 + os.getpid() // 250 % 200}.{1 + os.getpid() % 250}.{n}" for n in itertools.count(1))


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    """The demo clinic, always open."""
    box = Box(tmp_path, next(_addresses))
    await box.start()
    yield box
    await box.stop()


MakePhones = Callable[..., Awaitable[Phones]]


@pytest.fixture
async def softphones(box: Box, tmp_path: Path) -> AsyncIterator[MakePhones]:
    """Makes softphone processes at the box's address; ended after the test."""
    made: list[Phones] = []

    async def make(port: int, codecs: str = "PCMU,PCMA,G722,opus") -> Phones:
        phones = Phones()
        phones.recordings = tmp_path / f"heard-{port}"
        phones.recordings.mkdir()
        made.append(phones)
        await phones.start(box.address, port, 30000 + 4000 * len(made), codecs)
        return phones

    yield make
    for phones in made:
        assert await phones.stop() == 0


@pytest.fixture
async def provider(softphones: MakePhones) -> Phones:
    """The provider's end of the trunk: patients call through it, outside calls arrive there."""
    phones = await softphones(5090)
    await phones.account("trunk", mark=PATIENT)
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

"""A telephone that nobody here wrote: baresip registers, is called, calls, and is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from peers.box import Box
from peers.conftest import Patient
from peers.marks import OTHER, PATIENT, RATE, heard

from appliance.prompts.formats import write
from appliance.simulation.phones import Phones

MODULES = Path("/usr/lib/baresip/modules")

CONFIG = """
net_interface {address}
rtp_ports 26000-26100
module_path {modules}
module stdio.so
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module srtp.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {address}:4444
audio_source aufile,{folder}/mark.wav
audio_player aubridge,nowhere
audio_alert aubridge,nowhere
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
snd_path {folder}
"""


class Baresip:
    """One baresip process as extension 110, driven over its control socket."""

    def __init__(self, box: Box, folder: Path) -> None:
        self._box = box
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, extra: str = "") -> None:
        box = self._box
        self._folder.joinpath("config").write_text(CONFIG.format(address=box.address, modules=MODULES, folder=self._folder))
        seconds = np.arange(60 * RATE) / RATE
        write(self._folder / "mark.wav", 0.3 * np.sin(2 * np.pi * OTHER * seconds))
        self._folder.joinpath("accounts").write_text(
            f'<sip:110@clinic.local>;auth_pass={box.secret("110")};outbound="sip:{box.address}:5060;transport=udp";regint=300;'
            f"answermode=auto{extra}\n"
        )
        self._process = await asyncio.create_subprocess_exec(
            "baresip", "-f", str(self._folder), "-t", "60", stdin=asyncio.subprocess.PIPE,
            stdout=(self._folder / "out").open("wb"), stderr=asyncio.subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        # It knows MD5 alone and gives up at the first offer; it would ask again by itself half a minute later.
        await self.command("uareg", "300")
        await box.until(lambda s: any(p["extension"] == "110" and p["registered"] for p in s["phones"]), 90)

    async def command(self, name: str, params: str = "") -> None:
        """A command of baresip's menu, as a netstring (ctrl_tcp)."""
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection(self._box.address, 4444)
                    break
                except ConnectionRefusedError:
                    await asyncio.sleep(0.05)
        text = f'{{"command":"{name}","params":"{params}"}}'
        writer.write(f"{len(text)}:{text},".encode())
        await writer.drain()
        writer.close()

    async def hears(self, mark: int) -> None:
        """Wait until what baresip decodes holds this tone."""
        await self._box.until(lambda _: any(self._folder.glob("dump-*-dec.wav")))
        newest = max(self._folder.glob("dump-*-dec.wav"), key=lambda path: path.stat().st_mtime)
        await heard(newest, mark)

    async def stop(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        async with asyncio.timeout(10):
            await self._process.wait()


@pytest.fixture
async def baresip(box: Box, tmp_path: Path) -> AsyncIterator[Baresip]:
    folder = tmp_path / "baresip"
    folder.mkdir()
    phone = Baresip(box, folder)
    yield phone
    await phone.stop()


def to_110(text: str) -> str:
    return text.replace('open = "menu:day"', 'open = "extension:110"')


def to_110_encrypted(text: str) -> str:
    return to_110(text).replace('name = "Nurse station"', 'name = "Nurse station"\nsrtp = "required"')


@pytest.mark.parametrize(
    "media",
    [
        pytest.param("", marks=pytest.mark.clinic.with_args(to_110), id="plain"),
        pytest.param(";mediaenc=srtp-mand", marks=pytest.mark.clinic.with_args(to_110_encrypted), id="encrypted"),
    ],
)
async def test_a_patient_and_a_baresip_phone_talk(box: Box, baresip: Baresip, patient: Patient, media: str) -> None:
    await baresip.start(media)
    call = patient()
    await call.reaches("answered")
    await heard(call.record, OTHER)
    await baresip.hears(PATIENT)
    call.hang_up()
    assert (await box.record("+12175559001"))["answered_by"] == "110"


async def test_a_baresip_phone_calls_a_patient(box: Box, baresip: Baresip, provider: Phones) -> None:
    await baresip.start()
    await baresip.command("dial", "92175551111")
    _, far = await provider.incoming()
    far.answer()
    await heard(far.record, OTHER)
    await baresip.hears(PATIENT)
    await baresip.command("hangup")
    await far.reaches("ended")
    assert (await box.record("110"))["outcome"] == "answered"

"""Proves what the installed pjsua2 was built for: creates calls, accounts and ports until there are enough, or no more.

    python -m appliance.sip.limits '{"calls": 512, "accounts": 256, "ports": 1500}'

Prints one JSON object. A process of its own, since PJSIP lives once a process, and a bad build may abort it.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import pjsua2 as pj

from appliance.sip.accounts import PjAccount, account_config
from appliance.sip.engine import Engine, EngineSettings
from appliance.sip.leg import call_options

ADDRESS = "127.0.0.1"


async def prove(wanted: dict[str, int]) -> dict[str, Any]:
    """How many of each could be created, and in how many seconds."""
    # The INVITEs go to a socket of ours that never answers.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((ADDRESS, 0))
        engine = Engine(EngineSettings(ADDRESS, _free_port(), max_calls=wanted["calls"], rtp_ports=(40000, 48000)))
        engine.start()
        kept: list[Any] = []
        account = PjAccount(lambda account, call_id: None)
        account.create(account_config(engine, f"sip:doctor@{ADDRESS}", "off"))
        target = f"sip:nobody@{ADDRESS}:{silent.getsockname()[1]}"

        def call() -> Any:
            one = pj.Call(account)
            one.makeCall(target, call_options())
            return one

        def another_account() -> Any:
            one = PjAccount(lambda account, call_id: None)
            one.create(account_config(engine, f"sip:doctor{len(kept)}@{ADDRESS}", "off"))
            return one

        def port() -> Any:
            one = pj.ToneGenerator()
            one.createToneGenerator(8000, 1)
            return one

        reached: dict[str, Any] = {
            "version": engine.endpoint.libVersion().full,
            "codecs": sorted({codec.codecId.split("/")[0].lower() for codec in engine.endpoint.codecEnum2()}),
            "tls": _tls(engine),
            "seconds": {},
        }
        makers: dict[str, Callable[[], Any]] = {"accounts": another_account, "ports": port, "calls": call}
        for name, make in makers.items():
            began = time.monotonic()
            reached[name] = _create(make, wanted[name], kept)
            reached["seconds"][name] = round(time.monotonic() - began, 3)
        reached["rss_kb"] = engine.census()["rss_kb"]
        return reached


def _create(make: Callable[[], Any], wanted: int, kept: list[Any]) -> int:
    for number in range(wanted):
        try:
            kept.append(make())
        except pj.Error:
            return number
    return wanted


def _tls(engine: Engine) -> bool:
    config = pj.TransportConfig()
    config.boundAddress = ADDRESS
    try:
        engine.endpoint.transportCreate(pj.PJSIP_TRANSPORT_TLS, config)
    except pj.Error:
        return False
    return True


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(16_384, hard) if hard != resource.RLIM_INFINITY else 16_384, hard))
    print(json.dumps(asyncio.run(prove(json.loads(sys.argv[1])))), flush=True)
    # Hundreds of calls that nobody answers are not worth an orderly end.
    os._exit(0)


if __name__ == "__main__":
    main()

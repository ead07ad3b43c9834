"""The meter itself: on a direct path a known loss is reported as exactly that, and a clean path as clean."""

from __future__ import annotations

from typing import Any

import pytest
from bench.figures import direct_legs
from bench.stand import rtp_load

LEGS, SECONDS = 20, 4.0


async def direct(drop: int = 0) -> dict[str, Any]:
    return await rtp_load(direct_legs(LEGS), settle=0.5, window=SECONDS, drop=drop)


async def test_a_clean_path_loses_nothing() -> None:
    report = await direct()
    assert abs(report["wanted"] - LEGS * SECONDS * 50) <= LEGS, "four seconds of fifty frames for each leg"
    assert (report["missing"], report["heard"]) == (0, report["wanted"])
    for fault in (
        "repeated",
        "disordered",
        "damaged",
        "silent",
        "foreign",
        "strangers",
        "packets_lost",
        "not_sent",
        "overruns",
    ):
        assert report[fault] == 0, fault
    assert 0 < report["delay"]["p50"] < 5000, "microseconds through the kernel alone"


async def test_one_frame_in_a_hundred_is_missed() -> None:
    report = await direct(drop=100)
    # each leg keeps back each hundredth frame: two in four seconds, give or take one at the window's edges
    assert abs(report["missing"] - 2 * LEGS) <= LEGS // 4
    assert report["heard"] == report["wanted"] - report["missing"]
    assert report["packets_lost"] == pytest.approx(report["missing"], abs=LEGS // 4)
    assert report["kept_back"] >= report["missing"]
    assert (report["damaged"], report["repeated"], report["foreign"]) == (0, 0, 0)


async def test_legs_that_hear_the_wrong_party_are_told() -> None:
    crossed = [line.rsplit(" ", 1)[0] + f" {(n ^ 1) ^ 2}" for n, line in enumerate(direct_legs(4).splitlines())]
    report = await rtp_load("\n".join(crossed), settle=0.5, window=1.0)
    assert report["heard"] == 0
    assert report["missing"] == report["wanted"] > 0
    assert abs(report["foreign"] - report["wanted"]) <= 8

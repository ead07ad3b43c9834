"""The promise ledger (REQ-Z1): whatever happens to its file, no promise is invented, and none confirmed is lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records.people import Caller, opened

from appliance.flows.ports import Kept
from appliance.records import journal as journal_module
from appliance.records.journal import LedgerFile, decode, encode, replay

RECORDS: list[dict[str, Any]] = [
    {"op": "promise", "id": "a-1", "caller": "+12175550001", "name": "Zoë \"Z\" Doe", "to": "+12175550100", "at": "2026"},
    {"op": "step", "id": "a-1", "where": "queue:frontdesk", "facts": {"position": 3}},
    {"op": "promise", "id": "a-2", "caller": "", "name": "", "to": "+12175550101", "at": "2026"},
    {"op": "keep", "id": "a-1", "how": "answered", "by": "101", "at": "2026"},
    {"op": "promise", "id": "a-3", "caller": "+12175550003", "name": "line\nbreak", "to": "+12175550100", "at": "2026"},
    {"op": "step", "id": "a-3", "where": "menu:day", "facts": {}},
]  # fmt: skip
LINES = [encode(record) for record in RECORDS]
DATA = b"".join(LINES)
#: the open promises after so many whole records
OPEN_AFTER: list[set[str]] = [set(), {"a-1"}, {"a-1"}, {"a-1", "a-2"}, {"a-2"}, {"a-2", "a-3"}, {"a-2", "a-3"}]


def test_cut_off_at_any_byte_at_most_the_torn_record_is_lost() -> None:
    ends = [sum(map(len, LINES[:n])) for n in range(len(LINES) + 1)]
    for cut in range(len(DATA) + 1):
        found, damaged = replay(DATA[:cut])
        # A record is whole once its last byte is there, with or without the line's end.
        whole = max(n for n, end in enumerate(ends) if end <= cut or (n and end - 1 == cut))
        assert set(found) == OPEN_AFTER[whole], cut
        assert damaged == (ends[whole] < cut), cut


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_loses_what_it_hit_and_invents_nothing(bit: int) -> None:
    true = {record["id"]: record for record in RECORDS if record["op"] == "promise"}
    for place in range(len(DATA)):
        broken = bytearray(DATA)
        broken[place] ^= 1 << bit
        survivors = [record for record in decode(bytes(broken)) if record is not None]
        # A flip within a line costs that record; one at a line's end joins two; one that makes an end cuts one in two.
        assert len(survivors) >= len(RECORDS) - 2
        assert all(record in RECORDS for record in survivors)
        for id, promise in replay(bytes(broken))[0].items():
            assert (promise.caller, promise.to) == (true[id]["caller"], true[id]["to"])


@given(st.binary(max_size=300))
def test_whatever_stands_in_the_file_replay_never_raises(data: bytes) -> None:
    found, damaged = replay(data)
    assert found == {}
    assert damaged >= 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
odd_records = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["promise", "step", "keep", "other"]) | json_values,
        "id": st.sampled_from(["a", "b"]) | json_values,
    },
    optional={"facts": json_values, "where": json_values, "caller": json_values},
)


@given(st.lists(odd_records, max_size=8))
def test_a_record_of_another_version_never_stops_the_start(records: list[dict[str, object]]) -> None:
    found, damaged = replay(b"".join(map(encode, records)))
    assert damaged == 0
    for promise in found.values():
        json.dumps(promise.to_json())


operations = st.lists(
    st.tuples(st.sampled_from(["promise", "step", "keep", "flip", "cut", "restart"]), st.integers(0, 10**6)), max_size=30
)


@given(operations)
@settings(max_examples=80, deadline=None)
def test_through_damage_and_restarts_open_promises_are_those_made_and_not_kept(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[str, int]]
) -> None:
    """Against a plain model. Damage may lose a keep (somebody is called back once too often) or what it hit, no more."""
    path = tmp_path_factory.mktemp("ledger") / "journal"
    file = LedgerFile(path)
    file.open()
    made: dict[str, str] = {}
    owed: set[str] = set()
    damages = 0
    for what, n in plan:
        id = f"p{n % 7}"
        if what == "promise" and id not in made:
            made[id] = f"+1217555{n:07}"
            owed.add(id)
            file.append({"op": "promise", "id": id, "caller": made[id], "name": "", "to": "x", "at": ""}).commit()
        elif what == "step":
            file.append({"op": "step", "id": id, "where": "queue:q", "facts": {"position": n}}).commit()
        elif what == "keep":
            owed.discard(id)
            file.append({"op": "keep", "id": id, "how": "answered"}).commit()
        elif what in {"flip", "cut"} and (data := bytearray(path.read_bytes())):
            damages += 1
            file.close()
            if what == "flip":
                data[n % len(data)] ^= 1 << n % 8
                path.write_bytes(data)
            else:
                path.write_bytes(data[: n % len(data)])
            file = LedgerFile(path)
            file.open()
        elif what == "restart":
            file.close()
            file = LedgerFile(path)
            found, _ = file.open()
            assert all(promise.caller == made[id] for id, promise in found.items())
            if not damages:
                assert set(found) == owed
    file.close()
    found, _ = replay(path.read_bytes())
    assert set(found) <= set(made)
    assert all(promise.caller == made[id] for id, promise in found.items())
    if not damages:
        assert set(found) == owed


# --- with the writer --------------------------------------------------------------------------------------------------------


async def test_those_cut_off_are_listed_with_number_and_position_until_settled(tmp_path: Path) -> None:
    first = opened(tmp_path)
    kept = await first.journal.promise(Caller.leg("+12175550001"), "+12175550100")
    cut = await first.journal.promise(Caller.leg("+12175550002", "Pat Doe"), "+12175550100")
    for position in (4, 3):
        await first.journal.step(cut, "queue:frontdesk", position=position)
    await first.journal.keep(kept, Kept.ANSWERED, "101")
    await first.close()
    for _ in range(3):
        again = opened(tmp_path)
        (promise,) = again.journal.interrupted.values()
        facts = promise.to_json()
        assert (facts["caller"], facts["name"], facts["position"]) == ("+12175550002", "Pat Doe", 3)
        assert (facts["where"], facts["dialed"]) == ("queue:frontdesk", "+12175550100")
        assert again.journal.open == {}
        await again.close()
    settling = opened(tmp_path)
    assert settling.journal.settle(cut)
    assert not settling.journal.settle(cut)
    await settling.close()
    assert opened(tmp_path).journal.interrupted == {}


async def test_a_crash_during_the_start_forgets_nobody(tmp_path: Path) -> None:
    """Opening reads the file and begins a fresh one: whoever is owed stands in it before anything else is done."""
    first = opened(tmp_path)
    cut = await first.journal.promise(Caller.leg("+12175550002"), "+12175550100")
    await first.close()
    LedgerFile(tmp_path / "journal").open()  # and the process dies here
    assert set(opened(tmp_path).journal.interrupted) == {cut}


async def test_a_large_journal_is_written_anew_with_all_who_are_owed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(tmp_path)
    interrupted = await first.journal.promise(Caller.leg("+12175550001"), "+12175550100")
    await first.close()
    monkeypatch.setattr(journal_module, "COMPACT_BYTES", 20_000)
    records = opened(tmp_path)
    waiting = await records.journal.promise(Caller.leg("+12175550002"), "+12175550100")
    await records.journal.step(waiting, "queue:frontdesk", position=2)
    sizes: list[int] = []
    for n in range(300):
        id = await records.journal.promise(Caller.leg(f"+1217556{n:04}"), "+12175550100")
        await records.journal.keep(id, Kept.ANSWERED)
        sizes.append((tmp_path / "journal").stat().st_size)
    assert max(sizes) < 25_000
    assert sizes != sorted(sizes), "it was never written anew"
    await records.close()
    again = opened(tmp_path)
    assert set(again.journal.interrupted) == {interrupted, waiting}
    assert again.journal.interrupted[waiting].facts == {"position": 2}


async def test_many_callers_share_one_commit_and_none_waits_for_another(tmp_path: Path) -> None:
    records = opened(tmp_path)
    journal = records.journal
    ids = await asyncio.gather(*(journal.promise(Caller.leg(f"+1217{n:07}"), "x") for n in range(500)))
    assert len(set(ids)) == 500
    assert set(replay((tmp_path / "journal").read_bytes())[0]) == set(ids), "confirmed, and not in the file"
    await records.close()


async def test_a_promise_ends_once_and_an_unknown_one_is_no_trouble(tmp_path: Path) -> None:
    records = opened(tmp_path)
    id = await records.journal.promise(Caller.leg("+12175550001"), "x")
    await records.journal.keep(id, Kept.MESSAGED)
    await records.journal.keep(id, Kept.ABANDONED)
    await records.journal.step(id, "queue:frontdesk", position=1)
    await records.journal.keep("nobody", Kept.ANSWERED)
    await records.close()
    ends = [r for r in decode((tmp_path / "journal").read_bytes()) if r is not None and r["op"] == "keep"]
    assert [(end["id"], end["how"]) for end in ends] == [(id, "messaged")]

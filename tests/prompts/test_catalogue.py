"""The words of the house voice: every phrase, every number."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.prompts.catalogue import PHRASES, Digits, Number, Piece, all_pieces, number, pieces
from appliance.prompts.spoken import SpokenPrompts

ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
SMALL = [*ONES.split(), "eighteen", "nineteen"]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def value_of(words: list[str]) -> int:
    """The number that these words say."""
    total = 0
    for word in words:
        if word == "hundred":
            total *= 100
        else:
            total += SMALL.index(word) if word in SMALL else 10 * TENS.index(word)
    return total


def values_for(key: str) -> dict[str, int | str]:
    return {part.name: 7 for part in PHRASES[key] if isinstance(part, (Number, Digits))}


@pytest.mark.parametrize("value", range(1000))
def test_a_number_is_said_in_the_words_that_mean_it(value: int) -> None:
    words = [piece.text for piece in number(value)]
    assert value_of(words) == value
    assert len(words) <= 4
    assert "zero" not in words or value == 0


@given(st.integers())
def test_any_number_is_said(value: int) -> None:
    assert value_of([piece.text for piece in number(value)]) == min(max(value, 0), 999)


def test_every_stretch_a_number_needs_is_prepared() -> None:
    known = all_pieces()
    assert all(piece in known for value in range(1000) for piece in number(value))


@pytest.mark.parametrize("key", PHRASES)
def test_every_phrase_can_be_said(key: str) -> None:
    said = list(pieces(key, values_for(key)))
    assert said
    assert all(piece in all_pieces() for piece in said)
    text = SpokenPrompts().phrase(key, **values_for(key)).text
    assert text or key == "beep"


def test_a_slot_is_said_digit_by_digit() -> None:
    assert SpokenPrompts().phrase("park.slot", slot="701").text == "seven zero one"
    assert SpokenPrompts().phrase("emergency.test", callback="+1 (217)").text.endswith("one two one seven")


def test_position_and_time_are_said_as_patients_know_them() -> None:
    voice = SpokenPrompts()
    assert "number three" in re.sub(r"\s+", " ", voice.phrase("queue.position", position=3).text)
    assert "twenty four minutes" in voice.phrase("queue.wait", minutes=24).text


def test_a_wrong_key_names_the_nearest_and_a_missing_value_its_name() -> None:
    with pytest.raises(KeyError, match=r"queue\.position"):
        list(pieces("queue.postion", {}))
    with pytest.raises(KeyError, match="minutes"):
        list(pieces("queue.wait", {"position": 1}))


def test_no_stretch_has_two_recordings_and_no_recording_two_texts() -> None:
    recorded = [piece for piece in all_pieces() if piece.recording]
    assert len({piece.recording for piece in recorded}) == len(recorded)
    assert len({piece.text for piece in recorded if piece.text}) == len([piece for piece in recorded if piece.text])
    assert Piece("", "beep") in recorded

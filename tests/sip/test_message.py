"""The readers of what strangers send: they understand what is SIP, and never fall over what is not, nor take long."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sip.parts import message

from appliance.flows.ports import Party
from appliance.sip.message import Address, BadMessage, Request, Uri, auth_params, split_list
from appliance.sip.party import clean, party_of, user_of

#: text as PJSIP hands it over: any bytes, what is not UTF-8 as lone surrogates
wild = st.binary(max_size=400).map(lambda data: data.decode("utf-8", "surrogateescape"))
#: text of the letters that readers look for
sippy = st.text(st.sampled_from('<>;:,@?="\\ \t\r\nsipSIPtag*%0d%0a1²٣\x00é'), max_size=120)
anything = wild | sippy | st.builds(str.__add__, st.sampled_from(["sip:", '"', "<sip:", "Digest ", "tel:"]), wild | sippy)

READERS: dict[str, Callable[[str], object]] = {
    "Uri": Uri.parse,
    "Address": Address.parse,
    "list": split_list,
    "credentials": auth_params,
    "party": party_of,
    "user": user_of,
    "clean": clean,
    "headers": lambda text: Request(f"REGISTER sip:a SIP/2.0\r\nX: {text}\r\n\r\n", "192.0.2.1:5060", "UDP").values("X"),
    "tag": lambda text: Request(f"REGISTER sip:a SIP/2.0\r\nTo: {text}\r\n\r\n", "192.0.2.1:5060", "UDP").tag("To"),
    "whole": lambda text: Request(text, "192.0.2.1:5060", "UDP").values("Contact"),
    "number": lambda text: Request(message("A", Expires=text), "192.0.2.1:5060", "UDP").number("Expires"),
    "cseq": lambda text: Request(message("A", CSeq=text), "192.0.2.1:5060", "UDP").cseq(),
    "from": lambda text: Request(message("A", From=text), "192.0.2.1:5060", "UDP").user("From"),
}


@pytest.mark.parametrize("name", READERS)
@given(text=anything)
@example(text="sip:a:" + "9" * 5000)
@example(text="²")
def test_a_reader_raises_nothing_but_bad_message(name: str, text: str) -> None:
    try:
        READERS[name](text)
    except BadMessage as bad:
        assert "\r" not in str(bad) and "\n" not in str(bad)


#: texts on which a reader that looks back again and again takes minutes
LONG = {
    "letters": "a" * 60_000,
    "letters in quotes": '"' + "a" * 60_000,
    "spaces": "x" + " " * 60_000 + "y",
    "commas": "," * 60_000,
    "odd quotes and commas": '",' * 30_001,
    "open brackets": "<" * 60_000,
    "brackets and commas": "<,>," * 15_000,
    "backslashes": '"' + "\\" * 60_000,
    "semicolons": ";tag" * 15_000,
    "blank lines": "\r\n " * 20_000,
    "parameters": "Digest " + 'a="\\' * 15_000,
    "names": "Digest " + "a" * 60_000,
    "names and spaces": "Digest " + "a " * 30_000,
    "users": "sip:" * 15_000,
    "at signs": "sip:" + "@" * 60_000,
    "ports": "sip:a:" + "1" * 60_000,
    "percent signs": "sip:" + "%25" * 20_000 + "@a",
    "parameters of a URI": "sip:a" + ";lr" * 20_000 + " ",
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("shape", LONG)
def test_a_reader_reads_each_text_once(name: str, shape: str) -> None:
    started = time.process_time()
    with contextlib.suppress(BadMessage):
        READERS[name](LONG[shape])
    assert time.process_time() - started < 0.25, "60 kB take a few milliseconds; looking back for each takes minutes"


@given(
    st.lists(st.sampled_from(["a", '"b, c"', "<sip:d,e>", '"f \\" , g" <sip:h>;x="i,j"', '"<" <sip:k>']), max_size=8),
    st.sampled_from([",", " , "]),
)
def test_a_list_is_split_between_its_elements_only(elements: list[str], comma: str) -> None:
    assert split_list(comma.join(elements)) == elements


def test_an_address_with_all_its_parts() -> None:
    address = Address.parse('"Dr. \\"Bill\\" <W>" <sips:130@clinic.local:5061;transport=tls>;tag=x1;Expires="60"')
    assert (address.name, address.params) == ('Dr. "Bill" <W>', {"tag": "x1", "expires": "60"})
    assert Uri.parse(address.uri) == Uri("sips", "130", "clinic.local", 5061, ";transport=tls")


@pytest.mark.parametrize(
    "text",
    ["sip:", "sip:a@", "http://a", "sip:a@b c", 'sip:a"b@c', "sip:a@b:0", "sip:a@b:65536", "sip:a\r\nX: y@b", "sip:b>x", ""],
)
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(BadMessage):
        Uri.parse(text)


def test_a_lone_cr_ends_a_header_as_it_does_for_pjsip() -> None:
    request = Request(
        "REGISTER sip:a SIP/2.0\r\nPath: <sip:b>\rX-Smuggled: yes\nTo: <sip:c>;\r\n tag=7\r\n\r\nPath: no", "", "UDP"
    )
    assert request.raw("Path") == ["<sip:b>"]
    assert request.raw("X-Smuggled") == ["yes"]
    assert request.tag("To") == "7"


def test_a_tag_within_a_name_is_no_tag() -> None:
    assert Request(message("BYE", To='";tag=forged" <sip:101@clinic.local>;tag=true'), "", "UDP").tag("To") == "true"


@pytest.mark.parametrize(
    ("header", "party"),
    [
        ('"Pat Doe" <sip:+12175559001@203.0.113.5>;tag=1', Party("+12175559001", "Pat Doe")),
        ("<tel:+12175559001;phone-context=x>", Party("+12175559001")),
        ("sip:101@clinic.local;tag=1", Party("101")),
        ("<sip:+12175559001;npdi=yes@203.0.113.5;user=phone>", Party("+12175559001")),
        ('"911" <sip:anonymous@anonymous.invalid>', Party()),
        ("<sip:203.0.113.5:5060>", Party()),
        ('"sip:911@trusted" <sip:666@example.com>', Party("666", "sip:911@trusted")),
        ('"Eve\x1b[2J\r\nEvil: yes" <sip:1%0d%0aRoute:%20%3csip:x%3e@b>', Party("1Route", "Eve [2J Evil: yes")),
        ('"\udce9" <sip:5@b>', Party("5")),
        ("<" * 9, Party()),
    ],
)
def test_who_calls(header: str, party: Party) -> None:
    assert party_of(header) == party


@given(anything)
def test_a_party_can_be_written_into_a_header(text: str) -> None:
    party = party_of(text)
    assert not set(party.number) & set('<>"@;?&% \r\n\x00')
    assert not set(party.name) & set('"\\')
    assert party.name.isprintable() or not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in party.name)
    assert len(party.number) <= 64 and len(party.name) <= 80

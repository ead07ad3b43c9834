"""Where the phones are: several devices, expiry, NAT, Path, and a table that outlives a restart."""

from __future__ import annotations

import re

import pytest
from sip.parts import HOME, Desk, message, register, signed

from appliance.sip.front import Answer

CONTACT = "<sip:101@10.0.0.9:5060>"


@pytest.fixture
def desk() -> Desk:
    return Desk()


def contacts(answer: Answer) -> dict[str, int]:
    """The bindings a 200 lists, with their seconds."""
    found = {}
    for name, value in answer.headers:
        if name == "Contact" and (parts := re.fullmatch(r"<(.*)>;expires=(\d+)", value)):
            found[parts[1]] = int(parts[2])
    return found


def reached(desk: Desk, extension: str = "101") -> list[str]:
    return [binding.uri for binding in desk.front.bindings(extension)]


def test_a_phone_behind_nat_is_reached_where_it_came_from(desk: Desk) -> None:
    assert contacts(register(desk, CONTACT)) == {"sip:101@10.0.0.9:5060": 300}
    assert reached(desk) == ["sip:101@192.0.2.10:5060"]


def test_over_tls_it_is_reached_by_its_connection(desk: Desk) -> None:
    register(desk, CONTACT, transport="TLS", source="192.0.2.10:40123")
    assert reached(desk) == ["sip:101@192.0.2.10:40123;transport=tls"]


def test_two_devices_and_the_third_takes_the_oldest_ones_place(desk: Desk) -> None:
    for name, expires in (("a", "3600"), ("b", "60"), ("c", "60")):
        answer = register(desk, f"<sip:{name}@10.0.0.9>", Expires=expires)
        assert f"sip:{name}@10.0.0.9" in contacts(answer), "who registers last is in, however short"
    assert set(contacts(register(desk, ""))) == {"sip:b@10.0.0.9", "sip:c@10.0.0.9"}


def test_a_phone_with_an_instance_is_one_device_wherever_it_goes(desk: Desk) -> None:
    for port in (5060, 5062, 5064):
        register(desk, f'<sip:101@10.0.0.9:{port}>;+sip.instance="<urn:uuid:1>"', source=f"192.0.2.10:{port}")
    assert reached(desk) == ["sip:101@192.0.2.10:5064"]


def test_an_instance_of_another_extension_is_not_taken_over(desk: Desk) -> None:
    register(desk, '<sip:101@10.0.0.9>;+sip.instance="<urn:uuid:1>"')
    register(desk, '<sip:102@10.0.0.8>;+sip.instance="<urn:uuid:1>";expires=0', user="102", source="192.0.2.99:5060")
    assert reached(desk) == ["sip:101@192.0.2.10:5060"]


def test_expiry(desk: Desk) -> None:
    register(desk, CONTACT + ";expires=100", Expires="900")
    assert contacts(register(desk, "")) == {"sip:101@10.0.0.9:5060": 100}
    desk.time += 101
    assert reached(desk) == []
    desk.front.sweep()
    assert desk.facts.kept["binding/101"] == []


@pytest.mark.parametrize("expires", ["²", "x", "9" * 6000, ""])
def test_an_expiry_that_is_no_number_counts_as_not_said(desk: Desk, expires: str) -> None:
    assert contacts(register(desk, f"{CONTACT};expires={expires}")) == {"sip:101@10.0.0.9:5060": 300}


def test_a_very_long_expiry_is_shortened(desk: Desk) -> None:
    assert contacts(register(desk, CONTACT, Expires="4294967295")) == {"sip:101@10.0.0.9:5060": 3600}


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_on_a_connection_a_phone_is_back_before_pjsip_closes_it(desk: Desk, transport: str) -> None:
    """PJSIP closes a connection after ten quiet minutes: a phone that came back after an hour would not ring till then."""
    assert contacts(register(desk, CONTACT, Expires="3600", transport=transport)) == {"sip:101@10.0.0.9:5060": 540}


def test_too_short_is_refused_and_changes_nothing(desk: Desk) -> None:
    answer = register(desk, "<sip:a@10.0.0.9>, <sip:b@10.0.0.9>;expires=5")
    assert (answer.code, ("Min-Expires", "60") in answer.headers) == (423, True)
    assert reached(desk) == []


@pytest.mark.parametrize("how", [{"Contact": CONTACT + ";expires=0"}, {"Contact": "*", "Expires": "0"}])
def test_a_phone_signs_off(desk: Desk, how: dict[str, str]) -> None:
    register(desk, CONTACT)
    assert contacts(desk.answer(signed(desk, "REGISTER", **how))) == {}
    assert reached(desk) == []


@pytest.mark.parametrize(
    "how", [{"Contact": "*"}, {"Contact": "*", "Expires": "60"}, {"Contact": f"*, {CONTACT}", "Expires": "0"}]
)
def test_a_star_that_means_nothing_is_refused(desk: Desk, how: dict[str, str]) -> None:
    register(desk, CONTACT)
    assert desk.answer(signed(desk, "REGISTER", **how)).code == 400
    assert reached(desk) != []


@pytest.mark.parametrize("late", [CONTACT, CONTACT + ";expires=0", "*"])
def test_a_register_that_was_overtaken_changes_nothing(desk: Desk, late: str) -> None:
    register(desk, CONTACT, CSeq="7 REGISTER", **{"Call-ID": "one"})
    more = {"Expires": "0"} if late == "*" else {}
    answer = register(desk, late, CSeq="6 REGISTER", **{"Call-ID": "one"}, **more)
    assert answer.code == 500
    assert contacts(register(desk, "")) == {"sip:101@10.0.0.9:5060": 300}


def test_a_phone_registers_itself_only(desk: Desk) -> None:
    assert register(desk, CONTACT, To="<sip:102@clinic.local>").code == 403
    assert register(desk, CONTACT, From="<sip:102@clinic.local>;tag=1").code == 403
    assert reached(desk, "102") == []


def test_a_path_is_kept_as_the_route_and_told_back(desk: Desk) -> None:
    path = "<sip:192.0.2.10:5060;lr>, <sip:inner@10.1.1.1;lr;transport=tcp>"
    answer = register(desk, CONTACT, Path=path)
    assert ("Path", path) in answer.headers
    (binding,) = desk.front.bindings("101")
    assert (binding.uri, binding.route) == ("sip:101@10.0.0.9:5060", path)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("<sip:203.0.113.66;lr>", 403),  # would make the box call a machine that never spoke to it
        ("<sip:bank.example;lr>", 403),
        ("<sip:192.0.2.10>", 400),
        ("<sip:192.0.2.10;lr>, <http://10.0.0.1/>", 400),
        ("<sip:192.0.2.10;lr>\rX-Evil: 1", 200),
        ("<sip:" + "a" * 300 + "@192.0.2.10;lr>", 400),
        (", ".join(["<sip:192.0.2.10;lr>"] * 9), 400),
        ("<sip:192.0.2.10;lr?Route=%3Csip:203.0.113.66;lr%3E>", 200),
    ],
)
def test_a_path_leads_nowhere_but_back(desk: Desk, path: str, code: int) -> None:
    assert register(desk, CONTACT, Path=path).code == code
    for binding in desk.front.bindings("101"):
        assert binding.route == "<sip:192.0.2.10;lr>"


@pytest.mark.parametrize(
    "contact", ["<sip:101@10.0.0.9?Route=x>", "<sip:a b@10.0.0.9>", "<sip:101@10.0.0.9", "<>", "<sip:" + "9" * 900 + "@a>"]
)
def test_a_contact_carries_nothing_in(desk: Desk, contact: str) -> None:
    for more in ({}, {"Path": "<sip:192.0.2.10;lr>"}):
        answer = register(desk, contact, **more)
        assert answer.code == 400 or all("?" not in uri and " " not in uri for uri in reached(desk))


def test_registrations_outlive_a_restart(desk: Desk) -> None:
    register(desk, CONTACT, Expires="200")
    register(desk, "<sip:102@10.0.0.8>", user="102", transport="TCP", source="192.0.2.11:3000")
    after = Desk(facts=desk.facts)
    assert reached(after) == reached(desk)
    assert reached(after, "102") == ["sip:102@192.0.2.11:3000;transport=tcp"]
    assert after.front.registrar.is_home("192.0.2.11")


def test_what_was_kept_is_read_with_care(desk: Desk) -> None:
    register(desk, CONTACT)
    (good,) = desk.facts.kept["binding/101"]  # type: ignore[misc]
    desk.facts.kept["binding/101"] = [{**good, "key": "immortal", "expires": desk.time + 10**6}, {"x": 1}, 7, None, good]
    desk.facts.kept["binding/999"] = [good]
    desk.facts.kept["binding/102"] = "nonsense"
    after = Desk(facts=desk.facts)
    assert [binding.key for binding in after.front.registrar.all()] == [good["key"]]


def test_a_name_of_a_phone_that_no_terminal_takes(desk: Desk) -> None:
    register(desk, CONTACT, **{"User-Agent": "Phone\x1b[31m \udcff"})
    (binding,) = desk.front.bindings("101")
    assert binding.agent == "Phone [31m �"


def test_phones_that_are_gone_lose_their_bindings(desk: Desk) -> None:
    register(desk, CONTACT)
    desk.front.reload({})
    assert desk.front.registrar.all() == []
    assert not desk.front.registrar.is_home(HOME.split(":")[0])
    assert desk.answer(message("REGISTER")).code == 401

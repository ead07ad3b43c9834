"""The clinic file in use: the last good one at a bad start, a reload that takes all or nothing, secrets beside it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from config.trees import changed, demo, text_of

from appliance.config.problem import ConfigFaults
from appliance.config.secrets import Secrets, SecretsError
from appliance.config.store import Store

GOOD = text_of(demo())
OTHER = text_of(changed(("clinic", "name"), "Oak Street Dental"))
BAD = text_of(changed(("clinic", "timezone"), "Chicago"))


def store(folder: Path, text: str | None = GOOD) -> Store:
    path = folder / "clinic.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return Store(path, folder / "state")


def test_a_good_file_is_used_and_kept(tmp_path: Path) -> None:
    opened = store(tmp_path)
    assert opened.open().clinic.name == "Maple Street Family Medicine"
    assert opened.faults == ()
    (kept,) = (tmp_path / "state").iterdir()
    assert kept.read_text(encoding="utf-8") == GOOD


@pytest.mark.parametrize("bad", [BAD, "", "[clinic", "\udcff", None], ids=["wrong", "empty", "torn", "not utf-8", "missing"])
def test_a_bad_file_at_start_uses_the_last_good_one_and_says_so(tmp_path: Path, bad: str | None) -> None:
    store(tmp_path).open()
    again = store(tmp_path, None)
    if bad is None:
        again.path.unlink()
    else:
        again.path.write_bytes(bad.encode("utf-8", "surrogateescape"))
    assert again.open().clinic.name == "Maple Street Family Medicine"
    assert again.faults
    assert all(problem.what and problem.mend for problem in again.faults)


def test_a_bad_file_and_no_good_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigFaults, match="timezone"):
        store(tmp_path, BAD).open()
    assert not (tmp_path / "state").exists()


def test_a_bad_file_and_a_damaged_last_good_one_are_both_told(tmp_path: Path) -> None:
    store(tmp_path).open()
    (kept,) = (tmp_path / "state").iterdir()
    kept.write_text("[clinic", encoding="utf-8")
    with pytest.raises(ConfigFaults) as caught:
        store(tmp_path, BAD).open()
    told = str(caught.value)
    assert "clinic.timezone" in told
    assert str(kept) in told


def test_a_reload_takes_all_or_nothing(tmp_path: Path) -> None:
    used = store(tmp_path)
    used.open()
    used.path.write_text(BAD, encoding="utf-8")
    with pytest.raises(ConfigFaults):
        used.reload()
    (kept,) = (tmp_path / "state").iterdir()
    assert kept.read_text(encoding="utf-8") == GOOD
    used.path.write_text(OTHER, encoding="utf-8")
    assert used.reload().clinic.name == "Oak Street Dental"
    assert kept.read_text(encoding="utf-8") == OTHER
    assert used.faults == ()


def test_a_mended_file_ends_the_alarm(tmp_path: Path) -> None:
    store(tmp_path).open()
    used = store(tmp_path, BAD)
    used.open()
    assert used.faults
    used.path.write_text(OTHER, encoding="utf-8")
    used.reload()
    assert used.faults == ()


def test_a_copy_torn_by_a_power_cut_does_not_take_the_good_ones_place(tmp_path: Path) -> None:
    """A copy is written beside the old one and takes its place when it is whole."""
    store(tmp_path).open()
    state = tmp_path / "state"
    (state / "clinic.last-good.toml.part").write_text("[clin", encoding="utf-8")
    assert store(tmp_path, BAD).open().clinic.name == "Maple Street Family Medicine"
    store(tmp_path, OTHER).open()
    assert [path.name for path in state.iterdir()] == ["clinic.last-good.toml"]


def test_a_disk_that_takes_no_copy_does_not_keep_the_box_from_starting(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    used = store(tmp_path)
    assert used.open().clinic.name == "Maple Street Family Medicine"
    (warning,) = used.warnings
    assert warning.severity == "warning"
    assert warning.mend


# --- secrets ------------------------------------------------------------------------------------------------------------


def test_each_phone_gets_a_password_of_its_own_that_lasts(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secrets.json"
    secrets = Secrets(path)
    secrets.ensure(["101", "102"])
    first, second = secrets.phone("101"), secrets.phone("102")
    assert first != second
    assert min(len(first), len(second)) == 20
    assert not set(first + second) & set("01OIl")
    again = Secrets(path)
    again.ensure(["101", "103"])
    assert (again.phone("101"), again.phone("102")) == (first, second)
    assert again.phone("103")
    assert again.phone("999") == ""


def test_a_trunks_password_lasts(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    Secrets(path).set_trunk("main", "päss wörd")
    assert Secrets(path).trunk("main") == "päss wörd"
    assert Secrets(path).trunk("backup") == ""


def test_only_the_boxs_user_can_read_the_secrets(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    part = tmp_path / "secrets.json.part"
    # What a crash left behind, readable by all, must not lend its rights to the new file.
    part.write_text("{")
    part.chmod(0o644)
    Secrets(path).ensure(["101"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not part.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_secrets_that_others_can_read_are_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secrets.json"
    Secrets(path).ensure(["101"])
    path.chmod(mode)
    with pytest.raises(SecretsError, match="chmod 600"):
        Secrets(path)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"phone/101": 7}', b"\xff\xfe", b"null", b"[" * 100_000])
def test_damaged_secrets_are_refused_in_words_and_left_alone(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "secrets.json"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(SecretsError, match="backup"):
        Secrets(path)
    assert path.read_bytes() == data


def test_secrets_cannot_be_read_from_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.mkdir(mode=0o700)
    with pytest.raises(SecretsError):
        Secrets(path)


def test_a_full_disk_does_not_cost_the_secrets_there_are(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    secrets = Secrets(path)
    secrets.ensure(["101"])
    before = json.loads(path.read_text())
    (tmp_path / "secrets.json.part").mkdir()
    with pytest.raises(OSError):
        secrets.ensure(["102"])
    assert json.loads(path.read_text()) == before
    assert secrets.phone("102") == "", "a phone may not have a password that the next start does not know"
    (tmp_path / "secrets.json.part").rmdir()
    secrets.ensure(["102"])
    assert Secrets(path).phone("102") == secrets.phone("102") != ""

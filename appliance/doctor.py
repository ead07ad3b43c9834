"""`clinicpbx doctor`: what this machine lacks, in plain words, and how to mend it.

The limits compiled into pjsua2 are proved, not read: a process of its own creates the calls, accounts and ports.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from appliance.prompts.library import RECORDINGS

#: what the box asks of its build: calls, phones and lines, places on the mixing bridge
WANTED = {"calls": 512, "accounts": 256, "ports": 1500}
PJSIP_VERSION = "2.17"
CODECS = ("PCMU", "PCMA", "G722", "opus")
DESCRIPTORS = 4096
LITTLE_DISK = 1_000_000_000
LITTLE_MEMORY_KB = 900_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``needed``: the box cannot work without it."""

    what: str
    good: bool
    found: str
    mend: str = ""
    needed: bool = True

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def examine_machine() -> list[Finding]:
    """All findings, in the order in which one would mend them."""
    return [_python(), *_engine(), *_voice(), *_resources(), _port()]


def report(findings: Sequence[Finding]) -> Table:
    """The findings as a table; what is wrong carries its cure."""
    view = Table(box=None, padding=(0, 1), show_header=False)
    view.add_column()
    view.add_column(no_wrap=True)
    view.add_column()
    for finding in findings:
        mark = Text("good", "green") if finding.good else Text("bad" if finding.needed else "weak", "bold red")
        text = Text(finding.found)
        if not finding.good and finding.mend:
            text.append(f"\nto mend it: {finding.mend}", "yellow")
        view.add_row(mark, finding.what, text)
    return view


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", sys.version_info >= (3, 11), version, "use Debian 12 or later, which brings 3.11")


def _engine() -> Iterator[Finding]:
    build = "run 'make setup', which builds and installs it"
    try:
        importlib.metadata.version("pjsua2")
    except importlib.metadata.PackageNotFoundError:
        yield Finding("SIP engine", False, "pjsua2 is not installed", build)
        return
    proof = [sys.executable, "-m", "appliance.sip.limits", json.dumps(WANTED)]
    done = subprocess.run(proof, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        yield Finding("SIP engine", False, f"it does not start: {last}", build)
        return
    reached = json.loads(done.stdout)
    rebuild = "remove ~/.cache/clinicpbx/wheels and .venv, then 'make setup'"
    version = reached["version"].removesuffix("-svn")
    yield Finding("SIP engine", version == PJSIP_VERSION, f"pjproject {reached['version']}", rebuild)
    for name, wanted in WANTED.items():
        found = f"{reached[name]} of {wanted} created in {reached['seconds'][name]:.2f} s"
        yield Finding(f"  {name}", reached[name] >= wanted, found, rebuild)
    missing = [codec for codec in CODECS if codec.lower() not in reached["codecs"]]
    yield Finding("  codecs", not missing, ", ".join(reached["codecs"]), f"missing: {', '.join(missing)}; {rebuild}")
    yield Finding("  TLS", reached["tls"], "present" if reached["tls"] else "missing", rebuild)


def _voice() -> Iterator[Finding]:
    recorded = (RECORDINGS / "queue-thereare.wav").exists()
    yield Finding(
        "recorded prompts",
        recorded,
        f"in {RECORDINGS}" if recorded else "not there; the synthetic voice speaks instead",
        "apt-get install asterisk-core-sounds-en-wav",
        needed=False,
    )
    try:
        found = f"hibari-tts {importlib.metadata.version('hibari-tts')}"
        yield Finding("spoken texts", True, found)
    except importlib.metadata.PackageNotFoundError:
        yield Finding("spoken texts", False, "hibari-tts is not installed", "run 'make setup'")


def _resources() -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= DESCRIPTORS
    yield Finding("open files", enough, f"up to {hard}", f"raise the hard limit to {DESCRIPTORS} (LimitNOFILE=)")
    free = shutil.disk_usage(Path.cwd()).free
    yield Finding(
        "disk", free > LITTLE_DISK, f"{free / 1e9:.1f} GB free", "make room: messages and records need some", needed=False
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    yield Finding("memory", memory > LITTLE_MEMORY_KB, f"{memory / 1e6:.1f} GB", "1 GB is the least", needed=False)
    yield Finding("processors", (os.cpu_count() or 1) >= 2, str(os.cpu_count()), "two carry 200 calls at once", needed=False)


def _port() -> Finding:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", 5060))
        except OSError:
            mend = "if it is not the box itself, end the other SIP program (ss -lunp), or choose another port in [sip]"
            return Finding("SIP port", False, "5060 is in use", mend, needed=False)
    return Finding("SIP port", True, "5060 is free")

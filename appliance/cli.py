"""`clinicpbx`: run the box, look at it, check a clinic file."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import logging
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import httpx
import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from appliance.config.load import load, read
from appliance.config.problem import ConfigFaults

#: the demo plays on a Monday morning, whatever the hour
DEMO_TIME = datetime(2026, 11, 30, 8, 5)  # local time of the site
DEMO = Path(__file__).parent / "simulation" / "demo.toml"
#: exit statuses after sysexits.h
EX_CONFIG, EX_UNAVAILABLE = 78, 69


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    _log_to(sys.stderr, getattr(options, "quiet", False))
    status: int = options.do(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clinicpbx", description="The phone system of a medical or dental office.")
    parser.set_defaults(quiet=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: object, words: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=words, description=words)
        added.set_defaults(do=do)
        return added

    def state(added: argparse.ArgumentParser) -> None:
        added.add_argument("--state", type=Path, default=Path("var"), metavar="DIR", help="where the box keeps its state")

    run = command("run", _run, "Run the switchboard until Ctrl-C.")
    state(run)
    run.add_argument("--config", type=Path, default=DEMO, metavar="FILE", help="the clinic.toml (default: the demo clinic)")
    run.add_argument("--cache", type=Path, metavar="DIR", help="rendered prompts (default: in the state)")
    run.add_argument("--demo", action="store_true", help="play a morning: patients call, receptionists answer")
    run.add_argument("--watch", action="store_true", help="show the box live on this terminal")
    run.add_argument("--seconds", type=float, metavar="N", help="end by itself after so long")
    run.add_argument("--pace", type=float, default=6.0, metavar="X", help="how many times faster people live in the demo")
    run.add_argument("--at", type=_moment, metavar="TIME", help="believe that it is this local time, e.g. '2026-11-30 02:10'")
    run.add_argument("--quiet", action="store_true", help="log only what is wrong")
    status = command("status", _status, "What the running box is doing.")
    state(status)
    status.add_argument("--json", action="store_true")
    status.add_argument("--svg", type=Path, metavar="FILE", help="also draw it into an SVG picture")
    check = command("check", _check, "Check a clinic.toml and say how to mend it.")
    check.add_argument("file", type=Path)
    check.add_argument("--json", action="store_true")
    calls = command("calls", _calls, "The call log.")
    state(calls)
    calls.add_argument("--json", action="store_true")
    calls.add_argument("--limit", type=int, default=50)
    settle = command("settle", _settle, "A caller whom an interruption cut off has been called back.")
    state(settle)
    settle.add_argument("number", help="the caller's number, as `status` shows it")
    phone = command("phone", _phone, "How a softphone signs in as an extension.")
    state(phone)
    phone.add_argument("extension")
    password = command("password", _password, "Set the password of an outside line that signs in (asked for, never shown).")
    state(password)
    password.add_argument("line")
    doctor = command("doctor", _doctor, "Say what is missing on this machine and how to mend it.")
    doctor.add_argument("--json", action="store_true")
    return parser


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write it as '2026-11-30 08:00'") from error


def _run(options: argparse.Namespace) -> int:
    if options.demo and options.at is None:
        options.at = DEMO_TIME
    if options.demo or options.watch:
        from appliance.demo import play  # noqa: PLC0415 - the box itself needs none of it

        status: int = asyncio.run(play(options))
        return status
    return asyncio.run(_switchboard(options))


async def _switchboard(options: argparse.Namespace) -> int:
    from appliance.config.secrets import SecretsError  # noqa: PLC0415 - only `run` loads the engine
    from appliance.prompts.library import VoiceError  # noqa: PLC0415
    from appliance.sip.engine import EngineError  # noqa: PLC0415
    from appliance.switchboard.app import Places, Switchboard  # noqa: PLC0415

    places = Places(options.config, options.state, options.cache or options.state / "prompts", options.at)
    board = Switchboard(places)
    try:
        with Progress(TextColumn("{task.description}"), BarColumn(), console=Console(stderr=True), transient=True) as bar:
            shown = bar.add_task("preparing the voice", total=None, visible=False)

            def progress(done: int, total: int, what: str) -> None:
                bar.update(shown, completed=done, total=total, visible=True, description=f"preparing the voice: {what}")

            await board.start(progress)
    except ConfigFaults as faults:
        _complain(faults)
        return EX_CONFIG
    except (EngineError, SecretsError, VoiceError) as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    if options.seconds:
        asyncio.get_running_loop().call_later(options.seconds, board.end)
    if not options.quiet:
        sip = board.clinic.sip
        print(f"{board.clinic.clinic.name}: ready for calls on {sip.bind}:{sip.port}. Ctrl-C ends it.", file=sys.stderr)
        print("A softphone signs in with what 'clinicpbx phone 101' prints.", file=sys.stderr)
    status = await board.run()
    await board.stop()
    return status


def _status(options: argparse.Namespace) -> int:
    from appliance.live import draw  # noqa: PLC0415

    socket = options.state / "switchboard.sock"
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://switchboard", timeout=5) as box:
            status = box.get("/status").raise_for_status().json()
    except httpx.HTTPError as error:
        print(f"The box does not answer at {socket} ({error}). Is it running? Start it with 'make run'.", file=sys.stderr)
        return EX_UNAVAILABLE
    if options.json:
        print(json.dumps(status, indent=1))
        return 0
    console = Console(record=options.svg is not None, width=130 if options.svg is not None else None)
    console.print(draw(status))
    if options.svg is not None:
        picture = console.export_svg(title=str(status["clinic"]))
        # rich asks a server for its font; a monospaced one of the viewer's own does as well
        options.svg.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL))
    return 0


def _settle(options: argparse.Namespace) -> int:
    socket = options.state / "switchboard.sock"
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://switchboard", timeout=5) as box:
            cut_off = box.get("/status").raise_for_status().json()["interrupted"]
            ids = [caller["id"] for caller in cut_off if caller["caller"] == options.number]
            for promise in ids:
                box.post(f"/interrupted/{promise}/settle").raise_for_status()
    except httpx.HTTPError as error:
        print(f"The box does not answer at {socket} ({error}). Is it running? Start it with 'make run'.", file=sys.stderr)
        return EX_UNAVAILABLE
    if not ids:
        known = ", ".join(caller["caller"] or "withheld" for caller in cut_off) or "nobody"
        print(f"{options.number} is not among those who were cut off; they are: {known}.", file=sys.stderr)
        return 1
    print(f"{options.number} is looked after.")
    return 0


def _phone(options: argparse.Namespace) -> int:
    from appliance.config.secrets import Secrets, SecretsError  # noqa: PLC0415

    try:
        clinic = load(options.state / "clinic.last-good.toml")
        secret = Secrets(options.state / "secrets.json").phone(options.extension)
    except ConfigFaults:
        print(f"There is no box in {options.state} yet. Start it once with 'make run'.", file=sys.stderr)
        return EX_UNAVAILABLE
    except SecretsError as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    if clinic.phone(options.extension) is None or not secret:
        known = ", ".join(phone.extension for phone in clinic.phones)
        print(f"There is no extension {options.extension}; the clinic file has {known}.", file=sys.stderr)
        return EX_CONFIG
    sip = clinic.sip
    print(f"server    {sip.bind}:{sip.port}\ndomain    {sip.domain}\nuser      {options.extension}\npassword  {secret}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from appliance.config.store import examine  # noqa: PLC0415

    try:
        _, problems = examine(read(options.file))
        bad = False
    except ConfigFaults as faults:
        problems, bad = list(faults.problems), True
    if options.json:
        print(json.dumps({"ok": not bad, "problems": [problem.to_json() for problem in problems]}, indent=1))
    else:
        for problem in problems:
            print(f"{problem.severity}: {problem}")
        print(f"{options.file} cannot be used." if bad else f"{options.file} is good.")
    return 1 if bad else 0


def _calls(options: argparse.Namespace) -> int:
    from appliance.records.database import DatabaseError  # noqa: PLC0415
    from appliance.records.report import recent, table  # noqa: PLC0415

    try:
        rows = recent(options.state / "records", options.limit)
    except DatabaseError as error:
        print(error, file=sys.stderr)
        return EX_UNAVAILABLE
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        Console().print(table(rows))
    return 0


def _password(options: argparse.Namespace) -> int:
    from appliance.config.secrets import Secrets, SecretsError  # noqa: PLC0415

    text = getpass.getpass(f"Password of line {options.line}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not text:
        print("No password was given; nothing was changed.", file=sys.stderr)
        return 1
    try:
        Secrets(options.state / "secrets.json").set_trunk(options.line, text)
    except SecretsError as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    print("Kept. It is used from the next start of the box.")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from appliance.doctor import examine_machine, report  # noqa: PLC0415

    findings = examine_machine()
    if options.json:
        print(json.dumps([finding.to_json() for finding in findings], indent=1))
    else:
        Console().print(report(findings))
    return 1 if any(not finding.good and finding.needed for finding in findings) else 0


def _complain(faults: ConfigFaults) -> None:
    for problem in faults.problems:
        print(f"{problem.severity}: {problem}", file=sys.stderr)


def _log_to(stream: object, quiet: bool) -> None:
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="%H:%M:%S"),
            structlog.processors.add_log_level,
            # Plain: a rich traceback shows local variables, and those name callers.
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )


if __name__ == "__main__":
    sys.exit(main())

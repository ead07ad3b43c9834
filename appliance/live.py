"""The running morning on a terminal: calls, queues, positions and waits, drawn from the switchboard's own status."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

REFRESH_SECONDS = 0.5
LINE_SECONDS = 5.0

_STATE_STYLE = {
    "free": "green",
    "ringing": "yellow",
    "on call": "cyan",
    "wrap-up": "magenta",
    "missed a call": "yellow",
    "paused": "dim",
    "out": "dim",
    "unregistered": "red",
}


def clock(seconds: float) -> str:
    """``75`` → ``1:15``."""
    whole = max(0, int(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


def draw(status: Mapping[str, Any], height: int = 40) -> RenderableType:
    """The whole screen for one status."""
    parts: list[RenderableType] = [_header(status)]
    parts += [_alarm(text) for text in status.get("alarms", [])]
    if status.get("interrupted"):
        parts.append(_cut_off(status["interrupted"]))
    for queue in status.get("queues", []):
        parts.append(_queue(queue))
    room = max(10, height - 22)
    calls = status.get("calls", [])[: room - 4]
    parts.append(_calls(status.get("calls", []), room - 4))
    parts.append(_recent(status.get("recent", []), max(3, room - 2 - len(calls))))
    return Group(*parts)


def _header(status: Mapping[str, Any]) -> RenderableType:
    grid = Table.grid(expand=True)
    grid.add_column(justify="left")
    grid.add_column(justify="right")
    today = status.get("today", {})
    lines = Text("  ").join(
        Text(f"{line['name']} {line['in_use']}/{line['capacity']}", style="green" if line["up"] else "bold red")
        for line in status.get("lines", [])
    )
    registered = [phone for phone in status.get("phones", []) if phone["registered"]]
    grid.add_row(Text(status.get("clinic", ""), style="bold"), Text(status.get("time", "")))
    grid.add_row(
        Text.assemble("lines  ", lines),
        Text(f"{len(registered)} of {len(status.get('phones', []))} phones registered"),
    )
    grid.add_row(
        Text(
            f"today  {today.get('incoming', 0)} calls in · {today.get('answered', 0)} answered · "
            f"{today.get('messages', 0)} messages · {today.get('abandoned', 0)} gave up"
        ),
        Text(f"{status.get('promises', {}).get('open', 0)} promises open", style="cyan"),
    )
    return Panel(grid, title="clinicpbx", border_style="blue")


def _alarm(text: str) -> RenderableType:
    return Panel(Text(text, style="bold red"), border_style="red")


def _cut_off(callers: list[Mapping[str, Any]]) -> RenderableType:
    """Whom the last interruption cut off: the people to be called back now."""
    table = Table(expand=True, box=None, padding=(0, 1))
    for column in ("call back", "called", "since", "was at", "place"):
        table.add_column(column, no_wrap=True)
    for caller in callers:
        name = f"{caller['name']} {caller['caller'] or 'withheld'}".strip()
        since = datetime.fromisoformat(caller["since"]).strftime("%a %H:%M") if caller["since"] else ""
        table.add_row(name, caller["dialed"], since, caller["where"], str(caller.get("position", "")))
    return Panel(table, title="cut off by an interruption · settle with: clinicpbx settle NUMBER", border_style="red")


def _queue(queue: Mapping[str, Any]) -> RenderableType:
    waiting = Table(expand=True, box=None, padding=(0, 1))
    for column, justify in (("#", "right"), ("caller", "left"), ("waits", "right"), ("told", "right")):
        waiting.add_column(column, justify="right" if justify == "right" else "left", no_wrap=True)
    for caller in queue["waiting"]:
        estimate = caller.get("estimate")
        waited = caller["waited"]
        style = "red" if waited > 600 else "yellow" if waited > 240 else ""
        waiting.add_row(
            str(caller["position"]),
            caller["caller"],
            Text(clock(waited), style=style),
            "" if estimate is None else f"{max(1, round(estimate / 60))} min",
        )
    agents = Table(expand=True, box=None, padding=(0, 1))
    agents.add_column("agent")
    agents.add_column("state")
    agents.add_column("for", justify="right")
    for agent in queue["agents"]:
        agents.add_row(
            agent["extension"],
            Text(agent["state"], style=_STATE_STYLE.get(agent["state"], "")),
            clock(agent.get("since", 0)),
        )
    grid = Table.grid(expand=True)
    grid.add_column(ratio=3)
    grid.add_column(ratio=2)
    grid.add_row(waiting if queue["waiting"] else Align.center(Text("nobody waits", style="green")), agents)
    return Panel(grid, title=f"{queue['label']} · {len(queue['waiting'])} waiting", border_style="cyan")


def _calls(calls: list[Mapping[str, Any]], rows: int) -> RenderableType:
    table = Table(expand=True, box=None, padding=(0, 1))
    for column in ("caller", "called", "where", "with"):
        table.add_column(column, no_wrap=True)
    table.add_column("for", justify="right")
    for call in calls[:rows]:
        table.add_row(call["caller"], call["dialed"], call["where"], call.get("with") or "", clock(call["since"]))
    more = len(calls) - rows
    return Panel(table, title=f"calls · {len(calls)}" + (f" ({more} more)" if more > 0 else ""), border_style="green")


def _recent(calls: list[Mapping[str, Any]], rows: int) -> RenderableType:
    """Finished calls, the newest first."""
    table = Table(expand=True, box=None, padding=(0, 1))
    for column in ("caller", "way", "outcome", "by"):
        table.add_column(column, no_wrap=True)
    for column in ("waited", "talked"):
        table.add_column(column, justify="right")
    for call in calls[::-1][:rows]:
        style = {"answered": "green", "message": "cyan", "abandoned": "red"}.get(call["outcome"], "")
        way = " → ".join(call["path"])
        outcome = Text(call["outcome"], style=style)
        table.add_row(call["caller"], way, outcome, call["by"], clock(call["waited"]), clock(call["talked"]))
    return Panel(table, title="just ended", border_style="dim")


async def fetch(socket: Path) -> dict[str, Any]:
    """The status of the switchboard behind this socket. Raises ``httpx.HTTPError`` when it does not answer."""
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://switchboard", timeout=3) as client:
        status: dict[str, Any] = (await client.get("/status")).json()
        return status


async def watch(socket: Path) -> None:
    """Draw until cancelled; a switchboard that is away is waited for and told. Without a terminal: a line a while."""
    console = Console()
    if not console.is_terminal:
        while True:
            status = await fetch(socket)
            console.print(line(status), soft_wrap=True)
            await asyncio.sleep(LINE_SECONDS)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            try:
                live.update(draw(await fetch(socket), console.height), refresh=True)
            except (httpx.HTTPError, ValueError):
                live.update(Align.center(Text("the switchboard does not answer …", style="yellow")), refresh=True)
            await asyncio.sleep(REFRESH_SECONDS)


def line(status: Mapping[str, Any]) -> str:
    """The status in one line."""
    waiting = [f"{len(queue['waiting'])} wait for {queue['label']}" for queue in status["queues"]]
    today = status["today"]
    counts = f"{today['incoming']} in, {today['answered']} answered, {today['messages']} messages, {today['abandoned']} gave up"
    return f"{status['time']}  {len(status['calls'])} calls, {', '.join(waiting)}; today {counts}"

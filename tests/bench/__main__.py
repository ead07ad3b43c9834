"""The figures of the box, measured black-box from outside: ``python -m bench [FIGURE ...] [--quick] [--json FILE]``.

A real box (`clinicpbx run`) on a loopback address of its own, a provider on its trunk and fifty registered phones (raw SIP,
`bench.agent`), and an RTP generator in C (`rtpload.c`). How each figure is measured stands at its function in
`bench.figures`; in short:

* **calls**: 50 and 200 calls through trunk, flow and bridge. Each 20 ms frame carries its number as sound, so that a loss is
  seen even where a bridge re-frames and renumbers. Frames sent in the 30 s after the first 3 s are judged: one that never
  arrives is missing. Processor time is the box's own (user and kernel) over the same window;
* **delay**: from the send call of a frame to the kernel's arrival stamp of the packet whose sound carries it, at 10 calls,
  less the same on a direct path;
* **latency**: INVITE into an idle box to INVITE out to the phone, 200 calls one after the other, kernel arrival stamp;
* **setup**: 100 calls/s for 30 s through number, flow, extension; SDP answered both ways, 1 s hold, no RTP;
* **idle**: memory and processor time with fifty phones registered;
* **start**: process start to READY=1, the median of five.

The generator shares the machine's cores with the box; where it was late or lost packets itself, the table says so. The meter
is checked by `test_meter.py`: a known loss on a direct path is reported as exactly that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from bench.figures import FIGURES, FULL, QUICK, Figure
from bench.stand import generator
from rich.console import Console
from rich.table import Table


def machine() -> dict[str, Any]:
    """The machine and how busy it is now."""
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "load": round(os.getloadavg()[0], 2),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": models[0] if models else platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def table(found: list[Figure], before: dict[str, Any], after: dict[str, Any]) -> Table:
    title = f"{before['cores']} × {before['cpu']}, Linux {before['kernel']}, Python {before['python']}"
    drawn = Table(title=title, caption=f"1-minute load {before['load']} before, {after['load']} after", show_lines=True)
    for column in ("figure", "wanted", "reached", "met?", "seen"):
        drawn.add_column(column, justify="right" if column in {"wanted", "reached"} else "left")
    for figure in found:
        wanted, reached = (" / ".join(f"{value:.3g}" for value in values) for values in (figure.wanted, figure.reached))
        sign = "≥" if figure.at_least else "≤"
        met = "[green]yes[/]" if figure.met else "[bold red]no[/]"
        drawn.add_row(figure.name, f"{sign} {wanted} {figure.unit}", reached, met, figure.note)
    return drawn


async def measure(names: list[str], quick: bool) -> list[Figure]:
    console = Console(stderr=True)
    found: list[Figure] = []
    for name in names:
        console.print(f"measuring {name} …")
        found += await FIGURES[name](QUICK if quick else FULL)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure the box's figures.")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"which: {', '.join(FIGURES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="short windows: a look, not a measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    unknown = set(options.figures) - set(FIGURES)
    if unknown:
        parser.error(f"there is no figure {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    generator()
    before = machine()
    found = asyncio.run(measure(options.figures or list(FIGURES), options.quick))
    after = machine()
    Console(width=None if sys.stdout.isatty() else 160).print(table(found, before, after))
    if options.json:
        data = {"before": before, "after": after, "quick": options.quick, "figures": [figure.to_json() for figure in found]}
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    return 0 if all(figure.met for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())

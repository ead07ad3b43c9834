"""The process that makes sound: JSON jobs on standard input, one answer line for each on standard output.

``{"text": …, "path": …}`` speaks, ``{"music": "default", "path": …}`` composes, ``{"convert": …, "path": …}`` brings a file
of the practice's own to the house format. The only process that loads onnxruntime and numpy for sound; it ends when its
input does.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from appliance.prompts.formats import FormatError, level, read, write
from appliance.prompts.music import compose
from appliance.prompts.voice import Voice


@cache
def voice() -> Voice:
    return Voice()


def do(job: dict[str, Any]) -> dict[str, str]:
    """Do one job; its answer names what was done and, when it failed, why."""
    path = Path(job["path"])
    if "text" in job:
        what = str(job["text"])[:60]
        write(path, level(voice().speak(str(job["text"]))))
    elif "music" in job:
        what = "hold music"
        write(path, compose())
    else:
        what = Path(job["convert"]).name
        try:
            write(path, read(Path(job["convert"])))
        except FormatError as error:
            return {"what": what, "error": str(error)}
    return {"what": what}


def main() -> int:
    for line in sys.stdin:
        print(json.dumps(do(json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

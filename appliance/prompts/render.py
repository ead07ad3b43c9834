"""The process that makes sound: JSON jobs on standard input, one answer line for each on standard output.

``{"text": …, "path": …}`` speaks, ``{"music": "default", "path": …}`` composes, ``{"speech": …, "path": …}`` brings a file of
speech to the house format and level, ``{"tune": …, "path": …}`` one of music. The only process that loads onnxruntime and
numpy for sound; it ends when its input does.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from appliance.prompts.formats import FormatError, level, read, stretch, write
from appliance.prompts.music import MUSIC_DB, compose
from appliance.prompts.voice import Voice


@cache
def voice() -> Voice:
    return Voice()


def do(job: dict[str, Any]) -> dict[str, str]:
    """Do one job; its answer names what was done and, when it failed, why. One that cannot be done spoils no other."""
    path = Path(job["path"])
    kind = next(key for key in ("text", "music", "speech", "tune") if key in job)
    what = {"text": str(job.get("text"))[:60], "music": "hold music"}.get(kind) or Path(job[kind]).name
    try:
        match kind:
            case "text":
                write(path, stretch(voice().speak(str(job["text"]))))
            case "music":
                write(path, compose())
            case "speech":
                write(path, stretch(read(Path(job["speech"]))))
            case "tune":
                write(path, level(read(Path(job["tune"])), MUSIC_DB))
    except FormatError as error:
        return {"what": what, "error": str(error)}
    except Exception as error:
        return {"what": what, "error": f"it cannot be used ({type(error).__name__}: {error})"}
    return {"what": what}


def main() -> int:
    for line in sys.stdin:
        print(json.dumps(do(json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

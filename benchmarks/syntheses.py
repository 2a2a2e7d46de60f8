"""The same inspector trained with each kind of synthetic defects (Tab. 1, Tab. 3): a row each, mean over seeds.

    python benchmarks/syntheses.py DATA CATEGORY --sia SIA --textures DTD --seeds 0,1,2 --output runs/syntheses

Finished runs are not trained again; kinds or seeds can be added later. ``mix+sia`` takes generated images into the
mixture. What follows `--` goes to `realnet train` as it is.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from accuracy import FIGURES, cell, run

KINDS = ("sia", "dtd", "nsa", "cutpaste", "mix", "mix+sia")


def options_of(kind: str, sia: Path | None, textures: Path | None) -> list[str] | None:
    """What `realnet train` is told for ``kind``; None where its images were not given."""
    if kind == "sia":
        return None if sia is None else ["--synthesis", "sia", "--source", str(sia)]
    if kind == "dtd":
        return None if textures is None else ["--synthesis", "dtd", "--source", str(textures)]
    if kind == "mix+sia":
        return None if sia is None else ["--synthesis", "mix", "--set", f"synthesis.generated={sia}"]
    return ["--synthesis", kind]


def figures(data: str, category: str, seed: int, where: Path, options: list[str]) -> dict:
    results = where / "results.json"
    if not results.is_file():
        run("train", data, "--category", category, "--seed", str(seed), "--output", str(where), "--resume", *options)
        run("evaluate", str(where), data, "--category", category, "--json", str(results))
    return json.loads(results.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("category")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--sia", type=Path)
    parser.add_argument("--textures", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--output", type=Path, required=True)
    separator = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    extra = sys.argv[separator + 1 :] or ["--preset", "lite"]
    arguments = parser.parse_args(sys.argv[1:separator])
    lines = ["| synthesis | seeds | " + " | ".join(FIGURES) + " |", "|" + "---|" * (len(FIGURES) + 2)]
    facts: dict = {}
    for kind in arguments.kinds.split(","):
        options = options_of(kind, arguments.sia, arguments.textures)
        if options is None:
            continue
        rows = []
        for seed in map(int, arguments.seeds.split(",")):
            where = arguments.output / f"{arguments.category}-{kind}-seed{seed}"
            result = figures(arguments.data, arguments.category, seed, where, [*options, *extra])
            rows.append(result["overall"])
            facts = result["provenance"]
        cells = []
        for name in FIGURES:
            values = [row[name] for row in rows if row[name] is not None]
            spread = f" ± {np.std(values):.4f}" if len(values) > 1 else ""
            cells.append(cell(float(np.mean(values))) + spread if values else "-")
        lines.append(f"| {kind} | {arguments.seeds} | " + " | ".join(cells) + " |")
        table = (
            "\n".join(lines) + f"\n\n{facts['data']}, split {facts['split']}, preset {facts['preset']}, image score "
        )
        table += f"{facts['image_score']}, selection {facts['selection']}, {facts['hardware']}\n"
        (arguments.output / f"{arguments.category}.md").write_text(table)
        print(table, flush=True)


if __name__ == "__main__":
    main()

"""Run the benchmark: print a table of figures beside their goals, and save it as JSON."""

import argparse
import sys
import tempfile
import traceback
from pathlib import Path

from benchmarks import (
    ablation,
    batching,
    checkpointing,
    cmi,
    distillation,
    emulation,
    export,
    finetuning,
    live,
    matmul,
    pipeline,
    scaling,
    shares,
    startup,
    units,
)
from benchmarks.figures import Figure, show, table, write_results
from benchmarks.scratch import Setting, working_copy
from benchmarks.variants import MODELS, PRECISIONS
from src.system.command_line import count
from src.system.printing import printing

RESULTS = Path(__file__).parent / "results.json"
ROWS = {
    "finetuning": finetuning.figures,
    "ablation": ablation.figures,
    "shares": shares.figures,
    "matmul": matmul.figures,
    "emulation": emulation.figures,
    "cmi": cmi.figures,
    "distillation": distillation.figures,
    "batching": batching.figures,
    "export": export.figures,
    "startup": startup.figures,
    "live": live.figures,
    "scaling": scaling.figures,
    "checkpointing": checkpointing.figures,
    "units": units.figures,
    "pipeline": pipeline.figures,
}
VARIED = ("finetuning", "ablation", "shares", "matmul", "distillation")  # rows with several models and precisions
SLOW = ("units", "pipeline")  # rows that run only if you ask for them


@printing()
def main() -> int:
    """Measure the chosen rows. The exit status is 1 if a row broke, and does not depend on goals."""
    arguments = parsed_arguments()
    names = arguments.only or [name for name in ROWS if name not in SLOW or arguments.pipeline]
    found: list[Figure] = []
    broken = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        working_copy(Path(folder))
        variants = tuple(arguments.model), tuple(arguments.precision)
        setting = Setting(Path(folder), arguments.steps, arguments.repeats, arguments.glue_folder, *variants)
        for name in names:
            print(f"... {name}", file=sys.stderr, flush=True)
            try:
                figures = ROWS[name](setting)
            except Exception:
                traceback.print_exc()
                broken.append(name)
                continue
            found += figures
            for figure in figures:
                print(show(figure), flush=True)

    print("\n" + table(found))
    if output := arguments.output or (None if arguments.only else RESULTS):
        write_results(output, found, {"steps": arguments.steps, "repeats": arguments.repeats})
    if broken:
        print(f"broken: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


def parsed_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="NAME", help=f"some of: {', '.join(ROWS)}")
    parser.add_argument("--steps", type=count, default=20, help="training steps of one measurement (20)")
    parser.add_argument("--repeats", type=count, default=3, help="rounds; a figure is their median (3)")
    parser.add_argument("--glue-folder", type=Path, help="a local folder with rte and sst2, like glue.folder")
    for option, choices in (("model", MODELS), ("precision", PRECISIONS)):
        told = f"some of: {', '.join(choices)}; for the rows {', '.join(VARIED)}"
        parser.add_argument(f"--{option}", nargs="+", choices=choices, default=(), help=told)
    parser.add_argument("--pipeline", action="store_true", help="also time whole studies, which takes half an hour")
    parser.add_argument(
        "--output", type=Path, help="the JSON file to write (benchmarks/results.json; with --only, none)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

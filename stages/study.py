"""Run a named study as a DVC experiment of that name: studies/<name>/study.yaml laid over the committed params.yaml.

The training stages first run side by side, and `dvc exp run` then finds them finished.
"""

import argparse
import shlex
from collections.abc import Iterable

from src.parallel.launcher import only_launcher
from src.parallel.options import Options, add_options, options_in
from src.parallel.study import check_identity, run_dvc, run_units, units_of_part
from src.parallel.units import WHOLE, Part, Unit
from src.params import load_params
from src.repository.dvc_state import check_no_dvc_works, mend
from src.study.named.dvc_experiment import Experiment, experiment_of
from src.study.named.experiments import check_same, check_same_results, experiment_here
from src.study.named.overrides import study_params
from src.study.named.workspace import check_unchanged, params_in_place, tell_uncommitted
from src.study.records.unit_records import check_joinable, is_kept, keep_unit
from src.system.errors import stage


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="a folder in studies/")
    parser.add_argument("--dry", action="store_true", help="print the command and stop")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="with --part: write records to metrics/<name>/units/, and leave out units that are there",
    )
    add_options(parser)
    arguments = parser.parse_args()

    options = options_in(arguments)
    if arguments.keep and options.part == WHOLE:
        parser.error("--keep needs --part")

    experiment = experiment_of(arguments.name)
    if arguments.keep:
        check_joinable(study_params(arguments.name))

    print(shlex.join(experiment.command), flush=True)
    if arguments.dry:
        return
    with only_launcher():
        run(experiment, options, arguments.keep)


def run(experiment: Experiment, options: Options, keep: bool) -> None:
    """Run a study, or a part of it, in the workspace. If that fails, params.yaml gets its old content back."""
    check_unchanged()
    if options.part == WHOLE:
        check_identity()
    there = experiment_here(experiment.name)
    if there:
        check_same(experiment.name, there, experiment.params)
    tell_uncommitted(experiment.name)
    mend()
    check_no_dvc_works()
    with params_in_place(experiment.params):
        kept = kept_units(options.part) if keep else []
        run_units(options, kept)
        if options.part != WHOLE:
            if keep:
                keep_units(unit for unit in units_of_part(options.part) if unit not in kept)
            print("this part is up to date; when all parts are, run the study without --part")
        elif there:
            run_dvc("repro")
            check_same_results(experiment.name, there)
            print(f"experiment {experiment.name} is up to date")
        else:
            run_dvc("exp", "run", "--name", experiment.name)


def kept_units(part: Part) -> list[Unit]:
    """The units of a part whose records are there."""
    params = load_params()
    return [unit for unit in units_of_part(part) if is_kept(params, unit.task, unit.seed)]


def keep_units(units: Iterable[Unit]) -> None:
    """Write the records of units for `stages.join`. The units must be up to date."""
    params = load_params()
    for unit in units:
        print(f"records of {unit.name}: {keep_unit(params, unit.task, unit.seed)}")


if __name__ == "__main__":
    main()

"""Run a named study as a DVC experiment of that name: studies/<name>/study.yaml laid over the committed params.yaml.

The training stages first run side by side, and `dvc exp run` then finds them finished. With --part or --keep it does
not run: a later call, or `stages.join`, ends the study.
"""

import argparse
from collections.abc import Sequence

from src.parallel.launcher import only_launcher
from src.parallel.options import Options, add_options, options_in
from src.parallel.study import check_identity, run_dvc, run_units, units_of_part, up_to_date
from src.parallel.units import WHOLE, Unit
from src.params import Params, load_params
from src.params.reading import yaml_text
from src.repository.dvc_state import check_no_dvc_works, mend
from src.study.named.experiments import check_same, check_same_results, experiment_here
from src.study.named.overrides import base_content, difference, study_content, study_params, study_text
from src.study.named.workspace import check_unchanged, params_in_place, tell_uncommitted
from src.study.records.unit_records import check_joinable, is_kept, keep_unit
from src.system.errors import UserError, stage
from src.system.interrupts import Stopped


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="a folder in studies/")
    parser.add_argument(
        "--dry",
        action="store_true",
        help="print the study's changes of params.yaml (null leaves a key out), and stop",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="write records to metrics/<name>/units/ for stages.join, and leave out units that are there",
    )
    add_options(parser)
    arguments = parser.parse_args()

    text = study_text(arguments.name)
    if arguments.keep:
        check_joinable(study_params(arguments.name))

    if arguments.dry:
        print(yaml_text(difference(base_content(), study_content(arguments.name))), end="")
        return
    with only_launcher():
        run(arguments.name, text, options_in(arguments), arguments.keep)


def run(name: str, text: bytes, options: Options, keep: bool) -> None:
    """Run a study, or a part of it, in the workspace. If that fails, params.yaml gets its old content back.

    Args:
        text: the study's params.yaml.
    """
    check_unchanged()
    if options.part == WHOLE and not keep:
        check_identity()
    there = experiment_here(name)
    if there:
        check_same(name, there, text)
    tell_uncommitted(name)
    mend()
    check_no_dvc_works()
    with params_in_place(text):
        if keep:
            run_and_keep(options)
            print(f"when the records of all units are there, run `python -m stages.join --name {name}`")
            return
        run_units(options)
        if options.part != WHOLE:
            print("this part is up to date; when all parts are, run the study without --part")
        elif there:
            run_dvc("repro")
            check_same_results(name, there)
            print(f"experiment {name} is up to date")
        else:
            run_dvc("exp", "run", "--name", name)


def run_and_keep(options: Options) -> None:
    """Run the units of a study or a part whose records are not there, and write their records for `stages.join`.

    If a unit fails or a signal comes, the units that are up to date have their records all the same.
    """
    params = load_params()
    units = [unit for unit in units_of_part(options.part) if not is_kept(params, unit.task, unit.seed)]
    try:
        run_units(options, units)
    except (UserError, Stopped):
        _keep(params, up_to_date(units))
        raise
    _keep(params, units)


def _keep(params: Params, units: Sequence[Unit]) -> None:
    for unit in units:
        print(f"records of {unit.name}: {keep_unit(params, unit.task, unit.seed)}", flush=True)


if __name__ == "__main__":
    main()

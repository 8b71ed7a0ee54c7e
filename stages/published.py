"""Print scores that others published on GLUE beside those of a named study in git, as a table in Markdown."""

import argparse

from src.errors import UserError, stage
from src.study.overrides import study_file
from src.study.published import as_markdown, beside_published
from src.study.recorded import recorded_study
from src.study.results import load_results


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="a folder in studies/")
    name = parser.parse_args().name

    table = beside_published(load_results(recorded_study(name)))

    if table.empty:
        raise UserError(study_file(name), "has no task of GLUE", "name a study with tasks of source glue")
    print(as_markdown(table))


if __name__ == "__main__":
    main()

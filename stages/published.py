"""Print scores that others published on GLUE beside those of a named study in git, as a table in Markdown."""

import argparse

from src.study.drawing.study_results import load_results
from src.study.named.recorded import recorded_study
from src.study.report.published_scores import as_markdown, beside_published
from src.system.errors import UserError, stage


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="a file in studies/, without .yaml")
    name = parser.parse_args().name

    table = beside_published(load_results(recorded_study(name)))

    if table.empty:
        raise UserError(f"studies/{name}.yaml", "has no task of GLUE", "a study with tasks of source glue")
    print(as_markdown(table))


if __name__ == "__main__":
    main()

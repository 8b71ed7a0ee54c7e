"""Print, for a named study in git, its scores that can be compared with published ones, as a table in Markdown."""

import argparse

from src.study.drawing.study_results import load_results
from src.study.named.recorded import recorded_study
from src.study.report.published_scores import as_markdown, comparable_scores
from src.system.errors import stage


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="a folder in studies/")
    name = parser.parse_args().name

    table = comparable_scores(load_results(recorded_study(name)))

    if table.empty:
        print(f"{name} has no score that can be compared with a published one (docs/published.md says why)")
    else:
        print(as_markdown(table))


if __name__ == "__main__":
    main()

"""Print how a finished study changes if test rows that share texts count as clusters: standard errors and verdicts."""

import argparse

import pandas as pd

from src.study.named.recorded import recorded_study
from src.study.simulations.cluster_effect import effect_of_clusters
from src.study.statistics.clusters import effective_number
from src.system.errors import stage
from src.system.printing import markdown_head, markdown_row


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="a folder in studies/, or the study of params.yaml")
    params = recorded_study(parser.parse_args().name)

    tasks, claims = effect_of_clusters(params)

    names = ["task", "test rows", "share a text", "clusters", "count as", "error of an arm", "of a difference"]
    print(markdown_head(names))
    for task in tasks:
        clusters, count = task.clusters.nunique(), effective_number(task.clusters.to_numpy())
        sizes = len(task.clusters), f"{100 * task.sharing:.1f} %", clusters, f"{count:.0f}"
        print(markdown_row([task.task, *sizes, _in_words(task.arms), _in_words(task.differences)]))
    changed = [claim for claim in claims if claim[1] != claim[2]]
    print(f"\n{len(changed)} of {len(claims)} verdicts differ between intervals over rows and over clusters")
    for name, of_rows, of_clusters in changed:
        print(f"{name}: {of_rows} over rows, {of_clusters} over clusters")


def _in_words(ratios: pd.Series) -> str:
    """The median of ratios with their smallest and largest."""
    if ratios.empty:
        return ""
    return f"x {ratios.median():.2f} ({ratios.min():.2f} to {ratios.max():.2f})"


if __name__ == "__main__":
    main()

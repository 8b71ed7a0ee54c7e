"""Plot the study: the report, figures for people, and the CSV files that `dvc plots` shows."""

from pathlib import Path

from src.params import Params, load_params
from src.study.drawing.claims_figure import draw_claims
from src.study.drawing.curves_figure import draw_curves
from src.study.drawing.figures import TaskResults, draw_task
from src.study.drawing.length_figure import draw_length
from src.study.drawing.plot_data import write_plot_data
from src.study.drawing.study_results import load_results
from src.study.drawing.verdicts_figure import draw_verdicts
from src.study.report.report import write_report
from src.system.errors import stage
from src.system.files import new_folder

PLOTS_FOLDER = Path("plots")


def plot(params: Params) -> None:
    """Write the report and the figures of a study from its records and tables."""
    results = load_results(params)

    with new_folder(PLOTS_FOLDER / params.study) as folder:
        write_report(folder / "report.html", results)
        draw_verdicts(results.claims, folder / "verdicts.png")
        draw_claims(results.claims, folder / "claims.png")
        draw_curves(results, folder)
        draw_length(results, folder / "length.png")
        for task, records in results.records.items():
            arms, runs = (table[table["task"] == task] for table in (results.tables.arms, results.tables.runs))
            draw_task(TaskResults(records, arms, runs, params.evaluate.ece_bins), folder)
            write_plot_data(records, arms, runs, params.evaluate.ece_bins, folder / "data")

    print(f"report and figures in {PLOTS_FOLDER / params.study}")


@stage
def main() -> None:
    plot(load_params())


if __name__ == "__main__":
    main()

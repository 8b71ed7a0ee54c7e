"""Plot the study: the report, figures for people, and the CSV files that `dvc plots` shows."""

from pathlib import Path

from src.errors import stage
from src.files import new_folder, read_csv
from src.params import load_params
from src.study.claims import load_claims
from src.study.figures import draw_task, write_plot_data
from src.study.records import METRICS_FOLDER, load_records
from src.study.report import StudyResults, write_report

PLOTS_FOLDER = Path("plots")


@stage
def main() -> None:
    params = load_params()
    metrics = METRICS_FOLDER / params.study
    arms = read_csv(metrics / "tables/arms.csv", text=["task", "role", "arm", "metric"])
    runs = read_csv(metrics / "tables/runs.csv", text=["task", "role", "arm"])
    trials = read_csv(metrics / "tables/trials.csv", text=["task", "role", "family", "arm"])
    records = {task: load_records(params.study, task) for task in params.tasks}
    results = StudyResults(params, runs, arms, trials, load_claims(metrics / "claims.json"), records)

    with new_folder(PLOTS_FOLDER / params.study) as folder:
        write_report(folder / "report.html", results)
        for task, own in records.items():
            of_task = [table[table["task"] == task] for table in (arms, runs)]
            draw_task(own, *of_task, params.evaluate.ece_bins, folder)
            write_plot_data(own, *of_task, params.evaluate.ece_bins, folder / "data")

    print(f"report and figures in {PLOTS_FOLDER / params.study}")


if __name__ == "__main__":
    main()

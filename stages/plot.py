"""Plot the study: figures for people, and the CSV files that `dvc plots` shows."""

from pathlib import Path

from src.errors import stage
from src.files import new_folder, read_csv
from src.params import load_params
from src.study.figures import draw_task, write_plot_data
from src.study.records import METRICS_FOLDER, load_records

PLOTS_FOLDER = Path("plots")


@stage
def main() -> None:
    params = load_params()
    tables = METRICS_FOLDER / params.study / "tables"
    arms = read_csv(tables / "arms.csv", text=["task", "role", "arm", "metric"])
    runs = read_csv(tables / "runs.csv", text=["task", "role", "arm"])

    with new_folder(PLOTS_FOLDER / params.study) as folder:
        for task in params.tasks:
            records = load_records(params.study, task)
            of_task = [table[table["task"] == task] for table in (arms, runs)]
            draw_task(records, *of_task, params.evaluate.ece_bins, folder)
            write_plot_data(records, *of_task, params.evaluate.ece_bins, folder / "data")

    print(f"figures in {PLOTS_FOLDER / params.study}")


if __name__ == "__main__":
    main()

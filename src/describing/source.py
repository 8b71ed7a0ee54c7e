"""The source of a task's rows, in one line."""

from src.data.sources.dataset import columns_of_task, location_of_task
from src.params import Glue, TaskSettings


def source_in_words(settings: TaskSettings, glue: Glue) -> str:
    """The source of a task, the columns that the task reads, and its splits."""
    if settings.source == "vader":
        return f"vader, part {settings.part}; test is cut from all rows"
    location, columns = location_of_task(settings, glue), columns_of_task(settings)
    part = f", part {location.part}" if location.part else ""
    votes = f", votes in {', '.join(columns.human)}" if columns.human else ""
    read = f"text in {', '.join(columns.text)}, label in {columns.label}{votes}"
    test = "is cut from it" if settings.test_split is None else f"from {settings.test_split}"
    return f"{location.kind} {location.name}{part}; {read}; train from {settings.train_split}, test {test}"

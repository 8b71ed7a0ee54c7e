"""Variables of a launcher of several processes, left over in the environment of a run that nobody launched."""

import stages.finetune
from tests.faults.hostile.cases import FINETUNE, Case, table, write_params


def line(found: str, missing: str) -> str:
    return f"{found}: is set in the environment, but {missing}, which launchers also set, is not; unset {found}, or"


# What is set, and what the line must say
VARIABLES = {
    "local rank": ("LOCAL_RANK=0", line("LOCAL_RANK", "RANK")),
    "no address": ("LOCAL_RANK=0 RANK=0 WORLD_SIZE=2 MASTER_PORT=1", line("LOCAL_RANK", "MASTER_ADDR")),
    "world": ("WORLD_SIZE=2", line("WORLD_SIZE", "RANK")),
    "world with address": ("WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=1", line("WORLD_SIZE", "RANK")),
    "mpi": ("OMPI_COMM_WORLD_SIZE=2", line("OMPI_COMM_WORLD_SIZE", "MASTER_ADDR")),
    "word": (
        "LOCAL_RANK=x RANK=0",
        "LOCAL_RANK: is 'x' in the environment, which is not a number; unset LOCAL_RANK, or",
    ),
    "nothing": ("LOCAL_RANK=", line("LOCAL_RANK", "RANK")),
}


@table({name: (f"`{variables}`", variables, expected) for name, (variables, expected) in VARIABLES.items()})
def test_a_part_of_what_a_launcher_sets(model, refused, monkeypatch, case: Case):
    write_params(("models.teacher", {"source": "folder", "name": "model"}), ("models.student.layers", None))
    for variable in case.damage.split():
        monkeypatch.setenv(*variable.split("="))
    refused("several processes", case, stages.finetune.main, *FINETUNE)

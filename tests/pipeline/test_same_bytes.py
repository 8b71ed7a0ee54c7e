"""However the units of a study are spread, its results are those of plain `dvc repro`: two tasks, four seeds."""

import shutil
from pathlib import Path

import pytest

from tests.support.ray_cluster import two_nodes
from tests.support.repository import digests, run, same_results, small_studies

pytestmark = pytest.mark.slow
REPRO = ("python", "-m", "stages.repro")


@pytest.fixture(scope="module")
def studies(tmp_path_factory, tiny_encoder) -> tuple[Path, Path]:
    """A clone that has not run yet, and one in which plain `dvc repro` has."""
    return small_studies(tmp_path_factory.mktemp("eight"), tiny_encoder, ["one", "two"], [0, 1, 2, 3], epochs=2)


@pytest.fixture
def fresh(studies, tmp_path) -> Path:
    return shutil.copytree(studies[0], tmp_path / "fresh")


def test_four_units_at_a_time(fresh, studies):
    told = run(fresh, *REPRO, "--jobs", "4")
    assert "8 of 8 units, 0 running, 0 failed" in told
    assert same_results(fresh, studies[1])


def test_three_parts_in_clones_with_a_common_cache(fresh, studies, tmp_path):
    """As the nodes of a cluster have it; the last command trains nothing."""
    run(fresh, "dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    clones = [shutil.copytree(fresh, tmp_path / f"clone-{number}") for number in (1, 2, 3)]
    for number, units in ((1, 3), (2, 3), (3, 2)):
        told = run(clones[number - 1], *REPRO, "--jobs", "2", "--part", f"{number}/3")
        assert f"{units} of {units} units, 0 running, 0 failed" in told
        assert "this part is up to date" in told
    run(fresh, *REPRO)
    assert same_results(fresh, studies[1])
    for log in (fresh / "logs/tiny").iterdir():
        assert "epoch 1/" not in log.read_text()
        assert "is cached - skipping run" in log.read_text()


def test_parts_in_clones_that_share_only_their_units(fresh, studies, tmp_path):
    """Units whose records came from the other clone do not run again."""
    (fresh / "studies/eight").mkdir()
    (fresh / "studies/eight/study.yaml").write_text("{}\n")
    run(fresh, "git", "add", "--all")
    run(fresh, "git", "commit", "--quiet", "--message", "a study")
    other = shutil.copytree(fresh, tmp_path / "other")
    study = ("python", "-m", "stages.study", "--name", "eight", "--jobs", "2", "--keep")
    assert "4 of 4 units, 0 running, 0 failed" in run(other, *study, "--part", "1/2")  # one and two with seeds 0 and 2
    units = Path("metrics/eight/units")
    shutil.copytree(other / units, fresh / units)
    before = digests(fresh, str(units))
    assert "1 of 1 unit, 0 running, 0 failed" in run(fresh, *study, "--part", "1/3")  # of its three
    told = run(fresh, *study)
    assert "3 of 3 units, 0 running, 0 failed" in told
    assert "when the records of all units are there, run `python -m stages.join --name eight`" in told
    assert before.items() <= digests(fresh, str(units)).items()
    run(fresh, "python", "-m", "stages.join", "--name", "eight")
    records = digests(fresh / "metrics/eight/records", ".")
    assert records == digests(studies[1] / "metrics/tiny/records", ".")


def test_two_ray_nodes_in_a_clone_each(fresh, studies, tmp_path):
    run(fresh, "dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    nodes = [shutil.copytree(fresh, tmp_path / f"node-{number}") for number in (1, 2)]
    with two_nodes(*nodes) as address:
        told = run(fresh, *REPRO, "--ray", address)
    assert "8 units, 2 at a time" in told
    assert "8 of 8 units, 0 running, 0 failed" in told
    assert same_results(fresh, studies[1])

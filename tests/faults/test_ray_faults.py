"""A real Ray cluster that the launcher cannot join."""

from pathlib import Path

import pytest

from src.parallel.ray_tasks import ray_tasks
from src.params import Runtime
from src.system.errors import UserError
from tests.support.ray_cluster import two_nodes

pytestmark = pytest.mark.slow


def test_a_cluster_of_another_version_of_ray(tmp_path, monkeypatch, record_fault):
    """This process says of its Ray that it is an older one; the cluster and its words are real."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: make ray")
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with two_nodes(*folders) as address:
        with monkeypatch.context() as older:
            older.setattr(ray, "__version__", "2.9.0")
            connected = ray_tasks(address, None, 1, Runtime(threads=1), Path("cache"))
            with pytest.raises(UserError) as caught, connected:
                pass
        told = str(caught.value).replace(address, "HOST:PORT")
    assert told.startswith("--ray HOST:PORT: Version mismatch: The cluster was started with: Ray: ")
    assert "was started with: Ray: 2.9.0 Python: " in told
    assert "\n" not in told
    record_fault("Units on a Ray cluster", "a cluster of another version of Ray", f"`` error: {told} ``")

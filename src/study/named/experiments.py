"""DVC's experiments of named studies: commits that git keeps as refs/exps/<commit>/<name>."""

import shutil

from src.params import PARAMS_FILE
from src.params.reading import parse_yaml
from src.repository.committed import committed, git
from src.study import METRICS_FOLDER
from src.study.named.overrides import changed_keys
from src.system.errors import UserError

CODE = ("src", "stages", "dvc.yaml")


def experiments_named(name: str) -> list[str]:
    """The refs of all experiments with this name, at any commit."""
    found = git("for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}") if shutil.which("git") else None
    return found.stdout.decode().split() if found else []


def experiment_here(name: str) -> str | None:
    """The ref of the experiment with this name at the last commit, or None."""
    named = experiments_named(name)
    commit = git("rev-parse", "HEAD").stdout.decode().strip() if named else ""
    wanted = f"refs/exps/{commit[:2]}/{commit[2:]}/{name}"
    return wanted if wanted in named else None


def check_same(name: str, ref: str, params: bytes) -> None:
    """Refuse to train an experiment that DVC would not keep: a commit has one experiment per name.

    Args:
        ref: the ref of the experiment that has the name.
        params: the study's present params.yaml.

    Raises:
        UserError: the experiment has other settings or other code.
    """
    before = parse_yaml(PARAMS_FILE, committed(PARAMS_FILE, ref) or b"{}")
    changed = changed_keys(before, parse_yaml(PARAMS_FILE, params))
    changed += git("diff", "--name-only", ref, "--", *CODE).stdout.decode().splitlines()
    changed += git("ls-files", "--others", "--exclude-standard", "--", *CODE).stdout.decode().splitlines()
    if changed:
        problem = f"exists already at this commit, with another {changed[0]}"
        raise UserError(f"experiment {name}", problem, _way_out(name))


def check_same_results(name: str, ref: str) -> None:
    """Refuse results in metrics/<study> that differ from the experiment's, as after a change of data.

    Raises:
        UserError: a file differs or is missing.
    """
    listed = git("ls-tree", "-r", "-z", ref, "--", str(METRICS_FOLDER / name)).stdout.decode().split("\0")
    kept = {path: about.split()[2] for about, _, path in (line.partition("\t") for line in listed if line)}
    found = git("hash-object", "--stdin-paths", stdin="\n".join(kept).encode()).stdout.decode().split()
    if found != list(kept.values()):
        problem = f"its results differ from {METRICS_FOLDER / name}: data or models have changed since"
        raise UserError(f"experiment {name}", problem, _way_out(name))


def _way_out(name: str) -> str:
    again = f"make study NAME={name}"
    return f"keep it as another (`dvc exp rename {name} {name}-before`) or `dvc exp remove {name}`, then `{again}`"

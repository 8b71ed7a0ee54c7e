"""Draw docs/claims.png, the picture of the README, from the verdicts of the committed studies."""

import argparse
from pathlib import Path

from src.study.drawing.headline_figure import draw_headline
from src.system.errors import stage
from src.system.files import new_file

PICTURE = Path("docs/claims.png")


@stage
def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()

    with new_file(PICTURE) as draft:
        draw_headline(Path("metrics"), draft)

    print(f"the picture of the README is in {PICTURE}")


if __name__ == "__main__":
    main()

"""The page that `dvc plots show` and `dvc plots diff` fill, with its JavaScript within.

DVC's own page asks a server on the net for it, and stays blank where there is none. `.dvc/config` names this one.
`make page` writes it anew; a test holds it to the pinned library.
"""

from pathlib import Path

from src.files import new_file
from src.study.charts import chart_library

PAGE = Path(".dvc/page.html")


def content() -> str:
    """The template of the page, with two of DVC's marks in it: where plots go, and where a page says when to reload."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{{refresh_tag}}
<title>Plots</title>
<script>{chart_library()}</script>
</head>
<body>
{{plot_divs}}
</body>
</html>
"""


if __name__ == "__main__":
    with new_file(PAGE) as draft:
        draft.write_text(content(), encoding="utf-8")

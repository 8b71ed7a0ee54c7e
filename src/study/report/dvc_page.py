"""The page that `dvc plots show` and `dvc plots diff` fill, with its JavaScript included.

DVC's own page loads the JavaScript from a server, and stays blank without a network. `.dvc/config` names this page.
`make page` writes it, and a test compares it with the pinned library. The report takes the JavaScript from this page.
To generate it needs V8, which reserves more than 64 GiB of address space, and many clusters allow less.
"""

from pathlib import Path

import altair as alt

from src.system.files import new_file

PAGE = Path(__file__).with_suffix(".html")
START, END = "<script>", "</script>"


def chart_library() -> str:
    """All JavaScript that draws charts, read from the page. It needs no network."""
    return PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0]


def content() -> str:
    """The template of the page, with DVC's two placeholders: one for plots, one for the time of a reload."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{{refresh_tag}}
<title>Plots</title>
{START}{_pinned_library()}{END}
</head>
<body>
{{plot_divs}}
</body>
</html>
"""


def _pinned_library() -> str:
    import vl_convert  # starts V8, which only this function needs

    version = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    return vl_convert.javascript_bundle(vl_version=version)  # ty: ignore[missing-argument]  # its stub is wrong


if __name__ == "__main__":
    with new_file(PAGE) as draft:
        draft.write_text(content(), encoding="utf-8")

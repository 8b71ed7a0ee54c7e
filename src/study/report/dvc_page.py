"""The page that `dvc plots show` and `dvc plots diff` fill, with its JavaScript within.

DVC's own page asks a server on the net for it, and stays blank where there is none. `.dvc/config` names this one.
`make page` writes it anew; a test holds it to the pinned library. The report takes the JavaScript from the page: to
make it anew takes V8, which asks for more than 64 GiB of address space, and many clusters allow less.
"""

from pathlib import Path

import altair as alt

from src.system.files import new_file

PAGE = Path(__file__).with_suffix(".html")
START, END = "<script>", "</script>"


def chart_library() -> str:
    """The JavaScript that draws charts, all of it, as the page has it: no network is asked for any."""
    return PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0]


def content() -> str:
    """The template of the page, with two of DVC's marks in it: where plots go, and where a page says when to reload."""
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
    import vl_convert  # its V8 is wanted here alone

    version = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    return vl_convert.javascript_bundle(vl_version=version)  # ty: ignore[missing-argument]  # its stub is wrong


if __name__ == "__main__":
    with new_file(PAGE) as draft:
        draft.write_text(content(), encoding="utf-8")

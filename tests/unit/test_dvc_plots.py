"""What `dvc plots` shows: panels that name their arm, and curves of one epoch that can be seen."""

import altair as alt
import vl_convert
from dvc.utils.serialize import load_yaml
from dvc_render.vega import VegaRenderer

from tests.conftest import REPOSITORY

TEMPLATE = REPOSITORY / "src/study/report/dvc_curve.json"


def test_panels_have_the_names_of_their_files():
    """DVC gives all files of a plot its title, where it has one."""
    plots = [settings for plot in load_yaml(REPOSITORY / "dvc.yaml")["plots"] for settings in plot.values()]
    assert len(plots) == 5
    assert not [settings for settings in plots if "title" in settings]
    assert [settings["template"] for settings in plots].count("src/study/report/dvc_curve.json") == 1


def test_a_curve_of_one_epoch_is_a_point_at_its_value():
    points = [{"epoch": 1, "selection_score": 0.5125, "rev": "workspace"}]
    renderer = VegaRenderer(points, "a.csv", template=str(TEMPLATE), x="epoch", y="selection_score", title="a.csv")
    version = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    drawn = vl_convert.vegalite_to_svg(renderer.get_filled_template(), vl_version=version)
    assert drawn.count('aria-roledescription="point"') == 1
    assert ">0.5125</text>" in drawn
    assert ">a.csv</text>" in drawn

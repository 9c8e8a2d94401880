import matplotlib as mpl

from ktg.drawing.canvas import Canvas, printable, settings
from ktg.drawing.geometry import Box, bent


def test_settings_are_given_back():
    before = dict(mpl.rcParams)
    with settings():
        assert mpl.rcParams["svg.fonttype"] == "none"
    assert dict(mpl.rcParams) == before


def test_a_canvas_measures_in_points():
    with settings():
        svg = Canvas(Box(0, 0, 144, 72)).svg()
    assert 'width="144pt" height="72pt"' in svg
    assert "<dc:date>" not in svg
    assert "Matplotlib" not in svg


def test_elements_carry_their_ids_and_the_head_is_solid():
    with settings():
        canvas = Canvas(Box(0, 0, 100, 100))
        canvas.arrow(bent((-40, 0), (40, 0), 0), "#112233", (3, 2), gid="edge:a->b")
        canvas.box(Box(0, 0, 10, 10), 2, gid="node:a")
        canvas.text((0, 0), "$a$ & <b>", 9, "#000000", gid="words")
        svg = canvas.svg()
    assert 'id="edge:a-&gt;b"' in svg
    assert 'id="node:a"' in svg
    assert "$a$ &amp; &lt;b&gt;" in svg
    assert svg.count("stroke-dasharray") == 1


def test_printable_is_one_line_that_xml_can_hold():
    assert printable(" a\x00b\nc\ud800d é") == "a b c d é"

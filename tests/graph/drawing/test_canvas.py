import xml.etree.ElementTree as ET

from ktg.graph.drawing.canvas import Canvas, printable
from ktg.graph.drawing.geometry import Box, bend_line

SVG = "{http://www.w3.org/2000/svg}"


def test_a_canvas_measures_in_points_from_the_upper_left_corner():
    canvas = Canvas(Box(10, 20, 144, 72))
    canvas.box(Box(10, 20, 40, 30), 3, fill="#112233", gid="node:a")
    root = ET.fromstring(canvas.svg())
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == (
        "144pt",
        "72pt",
        "0 0 144 72",
    )
    (box,) = root.iterfind(f".//{SVG}rect[@id='node:a']")
    found = [float(box.get(name)) for name in ("x", "y", "width", "height", "rx")]
    assert found == [72 - 20, 36 - 15, 40, 30, 3]


def test_y_goes_upwards():
    canvas = Canvas(Box(0, 0, 100, 100))
    canvas.text((-50, 50), "above", 9, "#000000")
    canvas.text((-50, -50), "below", 9, "#000000", align="left")
    above, below = ET.fromstring(canvas.svg()).iter(f"{SVG}text")
    assert (above.get("x"), above.get("y"), above.get("text-anchor")) == ("0", "0", "middle")
    assert (below.get("x"), below.get("y"), below.get("text-anchor")) == ("0", "100", "start")


def test_elements_carry_their_ids_and_the_head_is_solid():
    canvas = Canvas(Box(0, 0, 100, 100))
    canvas.arrow(bend_line((-40, 0), (40, 0), 0), "#112233", (3, 2), width=2, gid="edge:a->b")
    canvas.text((0, 0), "$a$ & <b>", 9, "#000000", gid="words")
    svg = canvas.svg()
    assert 'id="edge:a-&gt;b"' in svg
    assert "$a$ &amp; &lt;b&gt;" in svg
    (shaft,), (head,) = (
        list(ET.fromstring(svg).iter(f"{SVG}{kind}")) for kind in ("path", "polygon")
    )
    assert (shaft.get("stroke-dasharray"), shaft.get("fill"), shaft.get("stroke")) == (
        "6 4",
        "none",
        "#112233",
    )
    assert shaft.get("d") == "M 10 50 Q 46.5 50 83 50"
    assert (head.get("points"), head.get("fill")) == ("90,50 82.5,46.5 82.5,53.5", "#112233")
    assert (head.get("stroke"), head.get("stroke-dasharray")) == (None, None)


def test_printable_is_one_line_that_xml_can_hold():
    assert printable(" a\x00b\nc\ud800d é") == "a b c d é"

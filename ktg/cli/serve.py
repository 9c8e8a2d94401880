"""`ktg serve`."""

from pathlib import Path

import click

from ktg.cli.options import check_device

_REQUEST = """\
{url}/invocations  (Ctrl-C ends it); for example
  curl {url}/invocations -H 'Content-Type: application/json' \\
    -d '{{"dataframe_split": {{"columns": ["image"], "data": [["'"$(base64 < photo.jpg | tr -d '\\n')"'"]]}}}}'"""


@click.command(epilog="Example: ktg serve model.safetensors --port 5001")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(1, 65535), default=5001, show_default=True)
@click.option("--device", help="cpu, cuda, cuda:1; default: a GPU if there is one.")
def serve(model: Path, port: int, device: str | None) -> None:
    """Answer requests for labels with MODEL over HTTP, for this machine only, until Ctrl-C.

    The server is MLflow's. A request holds image files in base64, in a column `image`; the answer
    has the label, its probability and those of all classes for each.
    """
    check_device(device)

    from ktg.exporting.pyfunc import serve as run

    run(model, port, device=device, ready=lambda url: click.echo(_REQUEST.format(url=url)))

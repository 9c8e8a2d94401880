"""`ktg ui`."""

import click

from ktg.cli.options import tracking_uri


@click.command(epilog="Example: ktg ui --port 5001")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@tracking_uri
def ui(port: int, tracking_uri: str) -> None:
    """Show searches and trials in MLflow's pages, for this machine only, until Ctrl-C."""
    from ktg.tracking import serve_ui

    serve_ui(tracking_uri, port, ready=lambda url: click.echo(f"{url}  (Ctrl-C ends it)"))

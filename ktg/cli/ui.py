"""`ktg ui`."""

import click

from ktg.cli.options import tracking_uri


@click.command(epilog="Example: ktg ui quickstart --port 5001")
@click.argument("experiment", required=False)
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@tracking_uri
def ui(experiment: str | None, port: int, tracking_uri: str) -> None:
    """Show searches and trials in MLflow's pages, for this machine only, until Ctrl-C.

    With EXPERIMENT the address is that of its trials, the best first.
    """
    from ktg.tracking import find_experiment, serve_ui
    from ktg.tracking.views import TRIALS, view_path

    page = (
        ""
        if experiment is None
        else view_path(find_experiment(experiment, tracking_uri).id, TRIALS)
    )
    serve_ui(tracking_uri, port, ready=lambda url: click.echo(f"{url}{page}  (Ctrl-C ends it)"))

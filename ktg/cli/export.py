"""`ktg export`."""

from pathlib import Path

import click

from ktg.cli.options import as_json, check_writable, percent, print_json, tracking_uri


@click.command(epilog="Example: ktg export quickstart -o best.yaml")
@click.argument("experiment")
@click.option("-o", "--output", type=click.Path(path_type=Path), default="best.yaml", show_default=True)
@tracking_uri
@as_json
def export(experiment: str, output: Path, tracking_uri: str, as_json: bool) -> None:
    """Write the best graph of EXPERIMENT's last search as YAML, and its drawing beside it as SVG."""
    check_writable(output)

    from ktg.exporting.best import export_best

    exported = export_best(experiment, tracking_uri, output)
    if as_json:
        print_json({"graph": str(exported.graph), "drawing": str(exported.drawing), **exported.provenance})
        return
    accuracy = percent(float(exported.provenance["val_accuracy"]))
    click.echo(
        f"{exported.graph} and {exported.drawing}: {exported.provenance['trial']}, validation accuracy {accuracy}"
    )
    click.echo("\nNext:")
    for command, why in (
        (f"ktg train {output} --seeds 3", "retrain on all but the test split, then test: mean and std"),
        (f"ktg graph show {output}", "what teaches what, in the terminal"),
        ("ktg ui", "every trial and curve, in MLflow's pages"),
    ):
        click.echo(f"  {command:<36}  # {why}")

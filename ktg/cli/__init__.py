"""Parses command lines, calls `ktg.api` and prints. A command loads heavy modules when it runs."""

import errno
import sys

try:
    import click

    from ktg.cli.affinity import affinity
    from ktg.cli.build import build
    from ktg.cli.cache import cache
    from ktg.cli.check import check
    from ktg.cli.compare import compare
    from ktg.cli.confirm import confirm
    from ktg.cli.data import data
    from ktg.cli.distill import distill
    from ktg.cli.evaluate import evaluate
    from ktg.cli.export import export
    from ktg.cli.graph import graph
    from ktg.cli.init import init
    from ktg.cli.output import protect_outputs
    from ktg.cli.predict import predict, serve
    from ktg.cli.pretrain import pretrain
    from ktg.cli.report import report
    from ktg.cli.screen import echo
    from ktg.cli.search import search
    from ktg.cli.source import source
    from ktg.cli.status import status, ui
    from ktg.cli.status import stop as stop_search
    from ktg.cli.train import train
    from ktg.cli.zoo import zoo
    from ktg.errors import KtgError, UserError, describe_system_error
    from ktg.version import __version__
except KeyboardInterrupt:  # these imports take a moment, in which nobody else would catch it
    sys.stderr.write("ktg: interrupted\n")
    sys.exit(130)


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ktg")
@click.pass_context
def commands(context: click.Context) -> None:
    """Find, train and export the best knowledge-transfer graph for your images.

    \b
    Example:
      ktg search search_spaces/quickstart.yaml
      ktg export quickstart -o best.yaml
      ktg train best.yaml --seeds 3
    """  # noqa: D301 - a raw string would hide the \b, with which click keeps the lines apart
    if context.invoked_subcommand is None:
        echo(context.get_help())


for _command in (init, search, status, stop_search, confirm, distill, export, report, compare):
    commands.add_command(_command)
for _command in (train, predict, evaluate, serve, check, data, graph, affinity):
    commands.add_command(_command)
for _command in (source, zoo, cache, ui):
    commands.add_command(_command)
source.add_command(pretrain)
zoo.add_command(build)


def main() -> None:
    """Run the command line; exit with 0, with 2 on a user's mistake, with 1 on a failure."""
    out = protect_outputs(lambda problem: echo(f"ktg: {problem}", err=True))
    try:
        commands(standalone_mode=False)
        if out is not None:
            sys.stdout.flush()
            if out.lost:
                sys.exit(1)
    except UserError as error:
        stop(str(error), 2)
    except KtgError as error:
        stop(str(error), 1)
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        # A name of 255 bytes and more can be given anywhere; it is met where it is first used.
        stop(describe_system_error(error), 2 if error.errno == errno.ENAMETOOLONG else 1)
    except click.ClickException as error:
        stop(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        stop("interrupted", 130)


def stop(message: str, code: int) -> None:
    """Print one sentence and exit."""
    echo(f"ktg: {message}", err=True)
    sys.exit(code)

"""Defines `ktg cache` and its commands."""

import click

from ktg.api.cache import CacheContents, clear_cache, show_cache
from ktg.cli import options
from ktg.cli.screen import echo, print_json


@click.group()
def cache() -> None:
    """See and clear what is kept to be made once: decoded images, teachers, their answers.

    It lies in $KTG_CACHE. Of each of the two, what was used longest ago is removed when together
    they take more than $KTG_CACHE_GIB (200) GiB, never what a process uses.
    """


@cache.command("show", epilog="Example: ktg cache show")
@options.as_json
def show_(as_json: bool) -> None:
    """Show how many entries the cache has, and how large they are."""
    print_contents(show_cache(), as_json)


@cache.command("clear", epilog="Example: ktg cache clear")
@options.as_json
def clear_(as_json: bool) -> None:
    """Remove everything that no process uses; it is made again when it is needed."""
    print_contents(clear_cache(), as_json)


def print_contents(found: CacheContents, as_json: bool) -> None:
    """Print what the cache holds."""
    if as_json:
        print_json(found.to_json())
        return
    echo(str(found.folder))
    for each in found.kept:
        echo(f"{each.kind:<10}{each.entries:>6} entries{each.size_bytes / 2**30:>10.2f} GiB")
    echo(f"limit of each{found.limit_bytes / 2**30:>19.2f} GiB")

"""``amg-fuse``: fuse folders, replay bags, make bags, tell what is here.

Each module holds a command, or a few that belong together; libraries that take long to load are
imported inside the commands, so that ``--help`` is quick.
"""

import logging
import sys

import typer

from amg_fuse_ros.cli import bench, calibrate, detector, engines, fuse, info, make, replay
from amg_fuse_ros.cli.terminal import say, show_engine_log

app = typer.Typer(
    help="Fuse a thermal and an RGB camera in rain, snow, haze and at night.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    fuse.fuse,
    replay.replay,
    calibrate.calibrate,
    make.make_bag,
    make.make_scene,
    info.info,
    bench.bench,
    engines.build_engine,
    engines.export,
    detector.convert_detector,
):
    app.command()(command)


def main() -> None:
    """Run the command line; errors that people can mend are one line, not a traceback."""
    from amg_fuse_ros.bags import BagError
    from amg_fuse_ros.engine import EngineError
    from amg_fuse_ros.spread import SpreadError
    from amg_fuse_ros.view import ViewError

    # What the library logs while it works, the commands tell at their end.
    logging.getLogger("amg_fuse_ros").addHandler(logging.NullHandler())
    show_engine_log()
    try:
        app()
    except (BagError, EngineError, SpreadError, ViewError, OSError, ValueError) as error:
        say("bold red", "error:", error)
        sys.exit(1)

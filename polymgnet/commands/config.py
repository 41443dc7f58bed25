"""`config`: every key of a training run's configuration, with its value, what it may be and what it
means."""

from typing import Annotated

import typer

from polymgnet import console
from polymgnet.errors import one_line
from polymgnet.options import Json, Settings, filled

# key -> what it may be, where a registry knows it and the schema says text alone
ALLOWED = {
    "model.name": "{models}, {patterns}",
    "model.placement": "{placements}, or a table",
    "data.name": "{data}",
    "init.scheme": "{schemes}",
    "init.operator": "{operators}",
}


def config(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE", help="A shipped recipe ({recipes}) or a JSON or TOML file."
        ),
    ] = "q2",
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Show a configuration: every key that --set and a file may give.

    What training would refuse at its start is refused here too. With --json the whole configuration
    as a document that is itself a file for --config.

    Example: polymgnet config fast --set lr=0.2 --json > mine.json
    """
    from nets.config import list_settings, load_config
    from nets.settings import SECTIONS
    from nets.training.build import check_start
    from polymgnet.study.run import text_of

    chosen = load_config(name, settings or [])
    try:
        check_start(chosen)
    except OSError as error:  # it may be meant for another place, where its files are
        console.note(f"polymgnet: warning: training would not start here: {one_line(error)}")
    if as_json:
        console.emit(chosen.to_dict())
        return
    rows = list_settings(chosen)
    for section, model in SECTIONS.items():
        mine = [row for row in rows if row.key.partition(".")[0] == section]
        body = [
            [row.key, text_of(row.value), filled(ALLOWED.get(row.key, row.allowed)), row.meaning]
            for row in mine
        ]
        console.table(f"{section}: {model.__doc__}", ["key", "value", "allowed", "meaning"], body)

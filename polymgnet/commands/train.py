"""`train`: a network, and everything about it in one folder."""

import json
import shlex
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from polymgnet import console
from polymgnet.commands.report import PAGE, NoReport, page_at_end
from polymgnet.errors import Stopped, on_interrupt
from polymgnet.options import Json, Settings, option
from polymgnet.wording import counted


def train(
    context: typer.Context,
    out: Annotated[
        Path,
        option(
            "--out RUN", "Folder of the run: configuration, log, checkpoints, weights, summary."
        ),
    ],
    config: Annotated[
        str | None,
        option(
            "--config NAME|FILE",
            "A shipped recipe ({recipes}), q2 by default, or a JSON or TOML file.",
        ),
    ] = None,
    settings: Settings = None,
    data: Annotated[
        str | None,
        option(
            "--data NAME",
            "Data set: {data} (images in class folders, or a .zip or .tar of them).",
        ),
    ] = None,
    init: Annotated[
        str | None,
        option(
            "--init SCHEME",
            "How the coefficients start: {schemes} (as derive --out wrote it); options as"
            " constant:value=2. The theory's assumptions on A hold with --set"
            " init.operator=laplacian; on the random A of the default the polynomial starts"
            " scaled to the spectral radius, but is no smoother there. init.operator: {operators}.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        option(
            "--from RUN|FILE|NAME",
            "Fine-tune: start from the weights of a run, of a model.safetensors or, as q2-digits,"
            " of the package, where shapes agree; the last layer is drawn anew for other classes."
            " Without --config the configuration is that of the run, beside the file, or of the"
            " package's weights; else q2's, with the network of the weights. The rate of a"
            " configuration is one for a new network: a smaller one, such as --set lr=0.02 in place"
            " of q2's 0.1, keeps more of what was learned.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        option(
            "--resume",
            "Go on where the run was; --out is enough, with --set epochs=N longer than before."
            " Without a run, start one, if --config, --data or --from says which.",
        ),
    ] = False,
    force: Annotated[
        bool, option("--force", "Delete the run that is there and start again.")
    ] = False,
    no_report: NoReport = False,
    as_json: Json = False,
) -> None:
    """Train a network and keep everything about it in one folder.

    The recipe says which network, data and training; --set changes any value of it, and polymgnet
    config lists them. Killed at any moment, train --resume --out RUN ends with the same weights.
    At the end it writes RUN/report/report.html, a page for the browser (--no-report: none). Then:
    polymgnet analyze RUN, polymgnet figures RUN. A finished run trains longer by --resume
    --set epochs=N; --from starts another one at its weights. stderr shows a bar on a terminal, and
    elsewhere a line for every epoch and, in long ones, every half a minute; with --json nothing.

    Exit status: 0 finished, 1 failed, 2 a wrong value, 143 (SIGTERM) or 138 (SIGUSR1) stopped with
    its state saved, 130 interrupted by Ctrl-C with the last checkpoint kept.

    Example: polymgnet train --config digits --out runs/digits

    Example: polymgnet train --config q2 --data folder:photos --init file:init.json --out runs/q2
    """
    import nets
    from nets.training.launch import is_first_rank
    from nets.training.signals import StopRequest

    name = shlex.quote(str(out))  # in commands to copy
    again = f"polymgnet train --resume --out {name} goes on"
    if resume and force:
        raise ValueError(
            "--resume and --force are given; only one is allowed (--force starts again, --resume"
            " goes on)"
        )
    named = {"data.name": data, "init.scheme": init}
    sets = [f"{key}={value}" for key, value in named.items() if value is not None]
    sets += settings or []
    source = source and _shipped(source)
    if source is not None:
        # before what is said explicitly, and after a recipe's values
        kept = [] if init else ["init.scheme=none", "init.options={}"]
        sets = [f"init.weights={source}", "init.operator=keep", *kept, *sets]
        folder = Path(source) if Path(source).is_dir() else Path(source).parent
        before = folder / "config.json"
        if config is None and before.is_file():
            config = str(before)
        elif config is None:
            config, sets = _recipe_of(source), [*_network_of(source), *sets]
    said = config is not None or data is not None or source is not None
    checked = _resumed(out, config, sets, said=said) if resume else None
    checked = checked or nets.load_config(config or "q2", sets)

    def saved() -> str:
        begun = (out / "config.json").is_file()
        return f"what was saved is kept, {again}" if begun else "nothing was begun"

    with on_interrupt(saved), StopRequest() as asked:
        kind: dict[str, Any] = {"resume": resume, "force": force, "progress": not as_json}
        result = nets.train(checked, out, **kind, opening=_outlook)
    number = asked.signal or signal.SIGTERM  # another process of the run had it
    if not is_first_rank():  # of several processes one tells
        raise typer.Exit(0 if result.finished else 128 + number)
    if not result.finished:
        epochs = f"{result.epochs} of {counted(checked.train.epochs, 'epoch')} are complete"
        where = f"after step {result.steps}, {epochs}"
        raise Stopped(f"stopped as asked {where}; the state is saved, {again}", number)
    if not as_json:
        # of a run that was finished before, what it was trained on, wherever that lies now
        console.facts(f"{result.model} on {result.data}{_start(out)}", _facts(result))
    made, again = None, f"polymgnet report {name}"
    if not no_report:
        with on_interrupt(f"the run is finished, {again} makes its page"):
            command, target = console.command_line(context), out / "report" / PAGE
            made = page_at_end([out], target, command=command, again=again, show=not as_json)
    if as_json:
        console.emit({**result.to_dict(), "run": out, "page": made})
        return
    console.say(f"Next: polymgnet analyze {name}, polymgnet figures {name}")
    console.say(f"One page on it: {made or again}")


def _resumed(out: Path, config: str | None, sets: list[str], *, said: bool) -> Any:
    """The configuration of the run that --resume goes on with, with these settings; None where
    another is given, or none is there and it is said what to train. ValueError where it is not,
    which is a misspelt run."""
    import nets
    from nets.training.folder import check_run, read_config

    own = out / "config.json"
    if config is None and own.is_file():
        read_config(out)  # refused in its own words where it is damaged
        return nets.load_config(own, sets)
    if not said and check_run(out, nets.load_config("q2", sets), resume=True, force=False) == "new":
        raise ValueError(
            f"--resume: {out} holds no run; give the folder of one, or --config, --data or --from"
            " to start one there"
        )
    return None


def _start(run: Path) -> str:
    """How the coefficients of a run started, in words; nothing where it has none, or kept them."""
    started = json.loads((run / "init.json").read_text(encoding="utf-8"))
    scheme, levels = started["scheme"], started["levels"]
    return f", started by {scheme}" if levels and scheme != "none" else ""


def _shipped(source: str) -> str:
    """The file of weights that come with the package by its name, as q2-digits; else what was
    given."""
    from nets.models.pretrained import shipped
    from nets.training.folder import read_config

    if Path(source).is_dir():
        read_config(source)  # refused in its own words where it is no run
    files = {key: str(one.file) for key, one in shipped().items()}
    if Path(source).exists() or Path(source).suffix:
        return source
    if source not in files:
        raise FileNotFoundError(
            f"{source}: no such run or file, and no weights of the package, which has"
            f" {', '.join(files)}"
        )
    return files[source]


def _recipe_of(file: str) -> str | None:
    """The recipe by which weights of the package were trained, if their card names one."""
    from nets.models.pretrained import list_pretrained

    return next((p.card.get("recipe") for p in list_pretrained() if str(p.file) == file), None)


def _network_of(file: str) -> list[str]:
    """The settings of the network whose weights a file holds."""
    from nets.settings import ModelSection
    from nets.training.checkpoint import load_model

    spec: Any = load_model(Path(file)).spec
    fields = dict.fromkeys(ModelSection.model_fields) | {"options": {}}
    given = {**fields, **spec.overrides, "name": spec.name}
    return [
        f"model.{'' if key in fields else 'options.'}{key}={json.dumps(value)}"
        for key, value in given.items()
        if key not in ("in_channels", "num_classes")  # the data have them
    ]


def _outlook(model: Any, data: Any) -> str:
    """Before the first step: which coefficients the placement makes meaningless."""
    from analysis.levels.identifiability import outlook
    from analysis.levels.state import level_states

    return outlook(level_states(model, data.shape[1:]))


def _facts(result: Any) -> list[tuple[str, str]]:
    """What a finished run ends with, in words; all of it is in summary.json."""
    measured = (
        ("test accuracy", result.test_accuracy),
        ("validation accuracy", result.val_accuracy),
    )
    weights = f"{result.parameters:,}, those of epoch {result.best_epoch} of {result.epochs}"
    speed = f"{result.images_per_second:,.0f} images/s, {result.seconds:.1f} s in all"
    pairs = [(name, f"{100 * value:.2f} %") for name, value in measured if value is not None]
    pairs += [
        ("training loss", console.number(result.train_loss)),
        ("weights", weights),
        ("speed", f"{speed}, {counted(result.steps, 'step')}"),
        *(("note", note) for note in result.notes),
    ]
    pairs += [
        ("root at guard", f"level {event['level']}, step {event['step']}: {event['message']}")
        for event in result.roots_at_guard
    ]
    return pairs

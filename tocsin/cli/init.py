"""`tocsin init`: a configuration to start from. The starter texts stand beside this module, in `starter/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tocsin.errors import Stop

STARTER = Path(__file__).parent / "starter"


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made if it does not exist.")],
) -> None:
    """Write a configuration to start from: feeds, a rule with its tests, receivers and subscriptions.

    A file that exists is never overwritten. What you leave out comes from the shipped configuration.
    """
    for name, text in starter().items():
        written = _write(directory / name, text)
        typer.echo(f"{'wrote' if written else 'kept '} {directory / name}")
    typer.echo(
        f"""
Next:
  1. {directory}/feeds.yaml           put in a feed of your own
  2. {directory}/rules/mine.yaml      say what to watch for
  3. {directory}/receivers.yaml       take the # away from Slack, e-mail or another receiver,
     {directory}/subscriptions.yaml   and name it under `to:`
  4. tocsin check {directory}         is it right?
     tocsin test {directory}          do the rules find what they should?
  5. tocsin run --config {directory}"""
    )


def starter() -> dict[str, str]:
    """Return the starter files by their names: ours, and the shipped ones that everybody edits."""
    from tocsin.settings import shipped

    def read(path: Path) -> str:
        return path.read_text(encoding="utf-8")

    own_feeds = read(STARTER / "own-feeds.yaml")
    feeds = read(shipped() / "feeds.yaml").replace("\n  feeds:\n", f"\n  feeds:\n{own_feeds}", 1)
    return {
        "feeds.yaml": feeds,
        "receivers.yaml": read(shipped() / "receivers.yaml"),
        "subscriptions.yaml": read(STARTER / "subscriptions.yaml"),
        "rules/mine.yaml": read(STARTER / "rules.yaml"),
    }


def _write(path: Path, text: str) -> bool:
    """Write *text*, or return False when there is such a file already.

    Raises:
        Stop: the directory cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if path.exists():
            return False
        raise Stop(f"{path.parent} is no directory") from None
    except OSError as error:
        raise Stop(f"{path}: {error.strerror}") from error
    return True

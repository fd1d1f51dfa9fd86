"""The command that prints what makes a shell complete this tool's commands."""

from __future__ import annotations

import click

from reconciler.cli import console
from reconciler.core.printable import Lines
from reconciler.errors import ExitCode

_VARIABLE = "_RECONCILER_COMPLETE"
"""What click derives from the name of the program; the script sets it for each completion."""


@click.command(
    epilog="Example: reconciler completion fish > ~/.config/fish/completions/reconciler.fish"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print a script that completes commands, addresses, labels, fields and ids of runs.

    \b
    bash  in ~/.bashrc: eval "$(reconciler completion bash)"
    zsh   in ~/.zshrc, after compinit: eval "$(reconciler completion zsh)"
    fish  save it as ~/.config/fish/completions/reconciler.fish
    """  # noqa: D301 - \b is click's mark for text that is not to be rewrapped
    from click import shell_completion  # only here

    makers = {
        "bash": shell_completion.BashComplete,
        "zsh": shell_completion.ZshComplete,
        "fish": shell_completion.FishComplete,
    }
    made = makers[shell](ctx.find_root().command, {}, "reconciler", _VARIABLE)
    console.data(Lines(made.source().strip("\n")))
    return ExitCode.OK

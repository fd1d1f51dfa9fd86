"""The command that shows one manifest as it counts."""

from __future__ import annotations

import click

from reconciler.cli import completions, console, options, runtime, selection
from reconciler.core.targets import is_id, with_addresses
from reconciler.errors import ExitCode
from reconciler.usecases.effective import find_effective


@click.command(epilog="Example: reconciler render email-smtp/prod-relay")
@selection.one
@click.argument("address", metavar="ADDRESS", shell_complete=completions.addresses)
@options.manifests
@options.state
@options.output("yaml", "json", text="How to show it.")
def render(address: str, manifests: str, location: str | None, output: str) -> int:
    """Show a manifest with its defaults, and where each value is set.

    It does not contact AlertSite, and secrets stay references. You can use the id of the monitor
    instead of ADDRESS; the state is read only if no manifest names that id.
    """
    schemas, fleet = options.load(manifests)
    (found,) = with_addresses((address,), fleet.desired, {})
    if is_id(found):
        run = runtime.begin(location)
        (found,) = with_addresses((address,), fleet.desired, run.known(None).state.all_records)
    effective = find_effective(fleet, schemas, found)
    if output == "json":
        console.document(effective.to_json())
    else:
        console.data(effective.to_yaml())
    return ExitCode.OK

"""What each code of a finding, a refusal and a note means, and what to do about it.

The texts are Markdown. `test_reference.py` compares the codes with those that the code has.
"""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """What a code means, and what to do."""

    meaning: str
    action: str


FINDINGS = {
    "Files and YAML": {
        "bad-tag": Advice(
            "A value does not fit its YAML tag, such as `!!int abc`.", "Remove the tag."
        ),
        "changed-file": Advice("The file changed while it was read.", "Run the command again."),
        "duplicate-key": Advice("A mapping has the same key twice.", "Remove one of them."),
        "file-name": Advice(
            "The name of the file is not valid UTF-8; or, as a warning, it has capitals, such as "
            "`relay.YAML`, and the file is not read.",
            "Rename the file.",
        ),
        "key-not-string": Advice(
            "A key is a number, a boolean, null, a list or a mapping.", "Quote the key."
        ),
        "no-document": Advice(
            "The file is empty, or has only comments. It may have been truncated, so its monitors "
            "do not count as removed.",
            "Restore its content, or delete the file.",
        ),
        "not-finite": Advice(
            "A number is infinite, not a number, or has more than 100 digits.",
            "Write a finite number, or quote the value if it is text.",
        ),
        "not-utf-8": Advice("The file contains bytes that are not UTF-8.", "Save it as UTF-8."),
        "recursive-alias": Advice(
            "An alias (`*name`) is inside the value that it repeats.", "Write the value out."
        ),
        "syntax": Advice("The file is not valid YAML.", "Fix the YAML at this position."),
        "tab": Advice("A tab indents a line or starts a value.", "Use spaces."),
        "too-large": Advice("The file is larger than 16 MiB.", "Split it into several files."),
        "unknown-alias": Advice(
            "An alias (`*name`) has no anchor (`&name`) before it.",
            "Add the anchor, or write the value out.",
        ),
        "unknown-tag": Advice("A tag is not one of YAML itself.", "Remove the tag."),
        "unreadable": Advice(
            "The file cannot be read, or is not a regular file.",
            "Fix the permissions, or remove the file.",
        ),
    },
    "Fields": {
        "api-version": Advice(
            "`apiVersion` is not `reconciler/v1`.", "Write `apiVersion: reconciler/v1`."
        ),
        "duplicate-item": Advice("A list contains an element twice.", "Remove one of them."),
        "empty": Advice("A text or a list is empty.", "Write a value, or remove the field."),
        "invalid": Advice(
            "The value does not fit the schema of its kind in any other way.",
            "Compare the manifest with `reconciler explain KIND`.",
        ),
        "missing-key": Advice(
            "A required key is missing.",
            "Add it. A field of `spec` can also come from a "
            "[default](../explanation/ownership.md#defaults).",
        ),
        "not-extra": Advice(
            "A key below `extra` is a field that the schema knows.",
            "Move it to `spec`, or remove it if AlertSite sets the field.",
        ),
        "pattern": Advice(
            "A text does not have the required form.", "Write it as the finding says."
        ),
        "range": Advice("A number is too small or too large.", "Write a number within the limit."),
        "read-only": Advice("AlertSite sets the field.", "Remove it."),
        "too-long": Advice("A text is longer than AlertSite stores.", "Shorten it to the limit."),
        "too-short": Advice(
            "A time is not longer than another one that it must exceed, such as `interval` and "
            "`timeout`.",
            "Change one of the two.",
        ),
        "type": Advice("A value has the wrong type.", "Write it as the finding says."),
        "unknown-key": Advice(
            "The kind has no such key.",
            "Fix the spelling. A field that AlertSite accepts and the schema does not know belongs "
            "below `extra`.",
        ),
        "unknown-kind": Advice("There is no such kind.", "Write one of the kinds in the finding."),
    },
    "Ids and addresses": {
        "duplicate-address": Advice(
            "Two manifests have the same kind and name.", "Change `metadata.name` of one of them."
        ),
        "duplicate-id": Advice(
            "Two manifests have the same id, in one account or in two that "
            "[share a login](../how-to/accounts.md#accounts-that-share-a-login).",
            "Correct the id of one of them, or remove it.",
        ),
        "ignored-field": Advice(
            "`lifecycle.ignore` names a field that the manifest does not name.", "Remove the entry."
        ),
        "shared-file": Advice(
            "Two accounts that share a login have links to one manifest.",
            "Give each account its own file.",
        ),
        "shared-id": Advice(
            "A manifest that several accounts use has `metadata.id`.",
            "Write [`metadata.ids`](../how-to/share-manifests.md#ids) instead.",
        ),
        "two-ids": Advice(
            "A manifest has both `metadata.id` and `metadata.ids`.", "Remove `metadata.id`."
        ),
        "unknown-account": Advice(
            "`metadata.ids` names an account that `reconciler.toml` does not have.",
            "Fix the spelling, or remove the id.",
        ),
    },
    "Defaults, variables and overrides": {
        "bad-variable": Advice(
            "`${` does not begin a variable.", "Write `${name}`, or `$${` for a literal `${`."
        ),
        "duplicate-default": Advice(
            "A field has two defaults in one folder, for the same kind.", "Remove one of them."
        ),
        "duplicate-override": Advice(
            "A field of an address is overridden twice in one layer.", "Remove one of them."
        ),
        "inherit": Advice(
            "`inherit` or `append` has another value than it can have, or the field is not a list.",
            "Write `{inherit: false}` or `{append: [...]}`.",
        ),
        "misplaced-defaults": Advice(
            "A `Defaults` document is in a manifest file.", "Move it to `_defaults.yaml`."
        ),
        "not-defaults": Advice(
            "`_defaults.yaml` contains a document of another kind.", "Move it to another file."
        ),
        "nothing-to-append-to": Advice(
            "`append` has no list that it could append to.",
            "Write the whole list, without `append`.",
        ),
        "overrides-nothing": Advice(
            "An `Override` has no fields, or its address has no manifest in the same or an earlier "
            "layer.",
            "Fix the address, or delete the `Override`.",
        ),
        "undefined-variable": Advice(
            "A variable is not defined.",
            "Fix the spelling, or define it in [`vars`](../how-to/share-manifests.md#variables).",
        ),
        "variable-type": Advice(
            "A variable inside a longer text is a list, a mapping or null.",
            "Let the variable be the whole value, or define it as text.",
        ),
    },
    "Secrets": {
        "missing-secret": Advice(
            "`apply` has to send a secret and cannot read it.",
            "Set the variable, or create the file, that the finding names.",
        ),
        "plain-secret": Advice(
            "A manifest contains a secret in plain text, or a URL with a password.",
            "Write a [secretRef](../how-to/rotate-secrets.md). If the value was committed, change "
            "the secret.",
        ),
        "refused-secret": Advice(
            "A secretRef names a secret that manifests may not use.",
            "Use another secret, or allow this one in "
            "[`[secrets]`](../how-to/rotate-secrets.md#restrict-which-secrets-manifests-can-use).",
        ),
        "secret-ref": Advice(
            "A secretRef is malformed, or is in a field that cannot have one.",
            "Write `{secretRef: {env: NAME}}` or `{secretRef: {file: PATH}}`, for a text in `spec` "
            "or any value below `extra`.",
        ),
        "shown-secret": Advice(
            "A secretRef is in a field that AlertSite shows.",
            "Remove it, or allow the field with `fields` in "
            "[`[secrets]`](../how-to/rotate-secrets.md#restrict-which-secrets-manifests-can-use).",
        ),
    },
    "Settings": {
        "setting": Advice(
            "The settings of an account in `reconciler.toml` or `accounts_from` are wrong.",
            "Fix the setting as the finding says, see [reconciler.toml](settings.md).",
        ),
    },
}
"""The codes of errors, by what they are about."""
WARNINGS = {
    "expired-ignore": Advice(
        "The day of an entry in `lifecycle.ignore` is over, so the field is compared again.",
        "Remove the entry, or set a later day.",
    ),
    "expired-maintenance": Advice(
        "`enabled` is still `false` after the day in `lifecycle.until`.",
        "Remove both, or set a later day.",
    ),
    "unknown-scheme": Advice(
        "No plug-in for the scheme of a secretRef is installed here. An apply that has to send the "
        "secret fails.",
        "Fix the spelling, or install the plug-in.",
    ),
    "unused-until": Advice(
        "`lifecycle.until` has no effect without `enabled: false` next to it.", "Remove it."
    ),
}
REFUSALS = {
    "ambiguous": Advice(
        "The account has several monitors of this kind and display name, and none is bound.",
        "Write the right id into `metadata.id`, or change the display name (`spec.name`).",
    ),
    "deleted": Advice(
        "The monitor was deleted outside Git, and the manifest still has its id.",
        "Remove `metadata.id` to create the monitor again, or delete the manifest.",
    ),
    "home-location": Advice(
        "The new `locations` would not contain the home location that AlertSite has.",
        "Write `home_location` into the manifest as one of its `locations`, or add the missing "
        "location.",
    ),
    "no-such-id": Advice(
        "The account has no monitor with the id in the manifest.",
        "Correct `metadata.id`, or check the login and the URL.",
    ),
    "not-ours": Advice(
        "The account already has a monitor of this kind and display name.",
        "Bind it with [`--adopt`](../how-to/adopt.md#adopt-a-monitor) or `metadata.id`, or change "
        "the display name.",
    ),
    "not-as-created": Advice(
        "When the monitor was created, AlertSite returned the id of a monitor that is not what was "
        "sent.",
        "If that monitor is it, write its id into `metadata.id`. If not, look for the monitor in "
        "AlertSite, write its id there, and run `reconciler state rm ADDRESS`. For an orphan: "
        "`--keep ADDRESS`.",
    ),
    "other-account": Advice(
        "An account that shares the login describes the same monitor, or one of the same kind and "
        "display name. For an orphan with `--prune`: it may, or its manifests cannot be read.",
        "Remove one of the two manifests, or correct its id or display name. See "
        "[Accounts that share a login](../how-to/accounts.md#accounts-that-share-a-login).",
    ),
    "other-kind": Advice(
        "The monitor with this id is of another kind.",
        "Correct `kind` or `metadata.id`. AlertSite cannot change the kind of a monitor.",
    ),
    "incomplete-list": Advice(
        "AlertSite's list omits a managed monitor that exists, so it may omit the new one too.",
        "Run the command again later. If it stays so, look for the monitor in AlertSite, and write "
        "its id into `metadata.id` if it is there.",
    ),
    "perhaps-ours": Advice(
        "With `--adopt`: no monitor has this display name, but others watch the same target.",
        "Bind one of them with `metadata.id`, or create a new one without `--adopt`.",
    ),
    "protected": Advice(
        "`--prune` would retire a monitor whose last manifest had `protect: true`.",
        "Leave it with `--keep ADDRESS`, or see "
        "[Protect](../how-to/retire.md#protect-or-disable-instead-of-deleting).",
    ),
    "same-name": Advice(
        "Two manifests without an id have the same kind and display name.",
        "Change the display name of one of them.",
    ),
    "two-bindings": Advice(
        "The state binds the address to another monitor than the manifest does, or two addresses "
        "to one monitor.",
        "Correct `metadata.id`, or run `reconciler state rm ADDRESS`.",
    ),
    "uncertain": Advice(
        "An earlier create is not confirmed, and several new monitors may be its result.",
        "Write the right id into `metadata.id`, or delete those that you do not want in AlertSite. "
        "If it is none of them, run `reconciler state rm ADDRESS`.",
    ),
    "unknown-type": Advice(
        "`--prune` would retire a monitor whose type AlertSite does not return.",
        "Leave it with `--keep ADDRESS`, or run `reconciler state rm ADDRESS` and delete it in "
        "AlertSite.",
    ),
}
NOTES = {
    "duplicate": Advice(
        "A monitor without a manifest has the kind and display name of a managed one.",
        "Delete the one that you do not want in AlertSite.",
    ),
    "ignored": Advice(
        "A field differs, and `lifecycle.ignore` excludes it from the comparison.", "Nothing."
    ),
    "leftover": Advice(
        "An earlier run may have created the monitor, and its manifest is gone.",
        "Restore the manifest, or delete the monitor in AlertSite.",
    ),
    "orphan": Advice(
        "A managed monitor has no manifest any more.",
        "[Retire it](../how-to/retire.md) with `--prune`, or stop managing it with `reconciler "
        "state rm ADDRESS`.",
    ),
    "pending": Advice(
        "An earlier create is not confirmed.",
        "Run `apply`, which [waits for it](../explanation/lock-and-journal.md#the-journal).",
    ),
    "released": Advice(
        "A field is no longer in the manifest and keeps its value.",
        "Nothing, or write the value that you want. See [Release](../explanation/release.md).",
    ),
    "stale-name": Advice(
        "The names in `metadata.previously` are not needed any more.", "Remove them."
    ),
    "unknown": Advice(
        "With `--offline`: the state has no record of the manifest, so it is not compared.",
        "Plan without `--offline`.",
    ),
    "unlisted": Advice(
        "A monitor is missing from AlertSite's list but can be read by its id.", "Nothing."
    ),
}

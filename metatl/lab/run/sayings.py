"""What a finished run says of itself, so that it is whole without what it came from."""

from __future__ import annotations

from typing import Any

from metatl import processes
from metatl.lab import config, store
from metatl.lab.run.folder import facts_file, own_transfer
from metatl.lab.run.prepare import Run
from metatl.lab.run.told import facts
from metatl.pretrained import finished
from metatl.types import Transfer

_KEPT = ("model", "transforms", "learner", "guide", "adaptation")
"""Values whose files a finished run keeps copies of."""


def sayings(run: Run, transfer: Transfer) -> dict[str, Any]:
    """What `learned.json` says so that a finished run needs nothing beside its data and its own classes.

    digest: of the run; net: what photos need; start: digest and transforms of the run that it started from;
    data: where they lay; inputs: see `name`; kept: copies of the files that its values name, made here.
    """
    start, described = run.start, run.described
    began = {"digest": start.digest, "transforms": config.describe(start.transforms)} if start else None
    named = {"began": began, **{key: described[key] for key in _KEPT}}
    said = {
        "digest": run.digest,
        "net": finished.facts(run.net, described["model"], run.data, transfer),
        "start": began,
        "data": described["data"] if "content" in run.inputs else None,
        "kept": store.keep(store.given(named), run.folder),
        "inputs": dict(run.inputs),
    }
    return {key: value for key, value in said.items() if value or key in ("net", "start")}


def note(run: Run) -> None:
    """Write what a finished run says of itself, where it was learned before runs said so.

    Raises MetatlError for damaged files.
    """
    told = facts(run.folder)
    if not processes.writer() or {"net", "digest"} <= set(told):
        return
    said = sayings(run, own_transfer(run))
    if said["net"] or said["start"] or "kept" in said:
        store.write_json(facts_file(run), {**said, **told, "digest": run.digest})

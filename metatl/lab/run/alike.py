"""What the processes of a job must have alike, compared before anything depends on it.

Whatever follows from these values, how often the processes meet among it, is then the same in all of them.
Where a process writes and on which card it computes is its own; process 0 alone writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metatl import processes
from metatl.data.source import Data, Source
from metatl.lab import config, store
from metatl.lab.provenance import versions
from metatl.lab.run import name
from metatl.lab.run.sources import HERE
from metatl.lab.run.told import Told
from metatl.lab.run.values import flat

_OWN = ("start", "runs", "device")
"""Keys of a config that processes may have each for itself: a start is compared by what it holds."""


def check_values(described: Mapping[str, Any], told: Told | None) -> None:
    """Raise MetatlError unless all have these values, this finished run, and these versions."""
    if processes.world() == 1:
        return
    facts = flat({key: value for key, value in described.items() if key not in _OWN})
    facts |= {"start": described["start"] is not None}
    facts |= {"what learned.json says": told and (told.digest, told.start, sorted(flat(told.inputs).items()))}
    facts |= {"the source of metatl": store.fingerprint(HERE)}
    processes.agree(facts | {f"version of {package}": said for package, said in versions().items()})


def check_source(source: Source) -> None:
    """Raise MetatlError unless all name this data."""
    if processes.world() > 1:
        processes.agree(flat({"data": config.describe(source)}))


def check_data(data: Data, inputs: Mapping[str, Any]) -> None:
    """Raise MetatlError unless all have this data, and these sources and files (see `name.inputs`)."""
    if processes.world() == 1:
        return
    facts = {"the content of the data": name.content(data), **flat({"the data": data.describe()})}
    facts |= {f"the source of {module}": told for module, told in inputs.get("sources", {}).items()}
    facts |= {f"the content of {file}": told for file, told in inputs.get("files", {}).items()}
    processes.agree(facts)


def check_work(what: str, digest: str) -> None:
    """Raise MetatlError unless all are at the same work."""
    processes.agree({"what it does": f"{what} {digest}"})

"""Running an experiment: learn (resuming), choose rates on meta-val, evaluate on meta-test once, keep all.

Run directory, `<runs>/<name>/<digest>-s<seed>/`: config.yaml (resolved), provenance.json, metrics.jsonl,
TensorBoard event files, last.ckpt, learned.json, transfer.safetensors, report.json, episodes.npy, and copies
of the files that its model names (files/). The digest
is taken over what is learned (data, model, learner, guide, start) and what those values do not say
themselves: the data's content, the source of the user's own classes, the content of weights files (see
`name`). So evaluating in another way learns nothing again, and lies under `evaluations/<digest>/`; and no
number outlives what it was taken with.
"""

from metatl.lab.run.folder import check_inputs, complete, forget, opened, own_report, report_folder
from metatl.lab.run.learn import learn
from metatl.lab.run.prepare import Run, on_other_data, prepare
from metatl.lab.run.report import report
from metatl.lab.run.sayings import note
from metatl.lab.run.told import Told, told

__all__ = [
    "Run",
    "Told",
    "check_inputs",
    "complete",
    "forget",
    "learn",
    "note",
    "on_other_data",
    "opened",
    "own_report",
    "prepare",
    "report",
    "report_folder",
    "told",
]

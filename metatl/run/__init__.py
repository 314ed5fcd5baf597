"""Running an experiment: learn (resuming), choose rates on meta-val, evaluate on meta-test once, keep all.

Run directory, `<runs>/<name>/<digest>-s<seed>/`: config.yaml (resolved), provenance.json, metrics.jsonl,
TensorBoard event files, last.ckpt, transfer.safetensors, report.json, episodes.npy. The digest is taken over
what is learned (data, model, learner, guide, start), so evaluating in another way learns nothing again.
"""

from metatl.run.learn import learn
from metatl.run.prepare import Run, prepare
from metatl.run.report import report

__all__ = ["Run", "learn", "prepare", "report"]

"""Adaptation across domains by a small net that is learned on rows of both."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from dataclasses import dataclass
from dataclasses import replace as replaced
from functools import lru_cache
from typing import Any, Literal, cast

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.descent import Descent
from metatl.adapt.named_streams import PAIRS, OfStreams, domains
from metatl.alignments.alignment import together
from metatl.data.domain_data import DomainData
from metatl.deadline import in_time
from metatl.engines import Loop
from metatl.guides.guide import TransferGuide
from metatl.learners.both_domains import both_domains, standard
from metatl.learners.learner import Learner
from metatl.models import MLP
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.types import Batch, MetatlError, Transfer

Side = Literal["source", "target"]


@dataclass(frozen=True)
class NetAcross(OfStreams):
    """An MLP on features or columns, learned from a source's labelled rows and rows of a target.

    f(x) = W h((x - m) / s) + b by a learner whose `source` rows are the source's with labelled ones of the
    target among them, and whose target is the unlabelled rows (`Domain`, `Bridge`): DANN (Ganin et al. 2016,
    arXiv 1505.07818), mixup at two ratios (Na et al. 2021, arXiv 2011.09230), say. m and s [d] are means and
    standard deviations of all these rows. Its support holds streams, see AcrossDomains. Raises MetatlError
    for targets that are no classes, and where no row is unlabelled. Rows of both domains that are of the same
    things are streams too, `Domain`s of these names (`FeatureMatching`).

    Args:
        learner: by mini-batches of both domains.
        hidden: widths of the hidden layers.
        norm: whether batch norms stand behind them.
        moments_of: of batch norms where they predict: the running ones of the source's rows, or those of all
            unlabelled rows of the target (AdaBN, Li et al. 2016, arXiv 1603.04779).
        after: steps on the unlabelled rows once the net is learned (Tent, Wang et al. 2021, arXiv
            2006.10726).
        guide: of these steps, made from the learned net; all weights alike for None.
    """

    learner: Learner
    hidden: tuple[int, ...] = (64,)
    norm: bool = False
    moments_of: Side = "source"
    after: Descent | None = None
    guide: TransferGuide | None = None

    def __post_init__(self) -> None:
        """Refuse moments without norms, and a guide without steps."""
        if self.moments_of == "target" and not self.norm:
            raise MetatlError("NetAcross: moments_of target needs batch norms (norm)")
        if self.guide is not None and self.after is None:
            raise MetatlError("NetAcross: a guide is of the steps `after`, and there are none")

    @property
    def streams(self) -> tuple[str, ...]:
        """Both domains, the target's rows without labels, and pairs where the learner has streams of them."""
        paired = {*PAIRS} & {*getattr(self.learner, "streams", ())}
        return ("source", "unlabelled", "paired") if paired else ("source", "unlabelled")

    @property
    def needs_labels(self) -> bool:
        """Not of the target."""
        return False

    @property
    def saved(self) -> Adaptation:
        """The same without a step."""
        learner = replaced(cast(Any, self.learner), steps=0)
        return replaced(self, learner=learner, moments_of="source", after=None, guide=None)

    @property
    def brief(self) -> Adaptation:
        """As what is saved."""
        return self.saved

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """Weights and buffers of the MLP, and what its inputs are standardised by."""
        found = domains(net, transfer, support)
        if found.source.y.dim() > 1 or found.source.y.is_floating_point():
            raise MetatlError(f"{type(self).__name__} learns classes, and these are other targets")
        rows = together(found.source, found.labelled)
        seen = torch.cat([rows.x, found.unlabelled])
        mean, deviation = seen.mean(0), seen.std(0, correction=0)
        scale = {"mean": mean, "deviation": torch.where(deviation > 0, deviation, 1.0)}
        made = _made(self.hidden, rows.x.shape[1], net.outputs, self.norm)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(key)
            for module in made.module.modules():
                getattr(module, "reset_parameters", lambda: None)()
            learned = made.start()
            if self.learner.steps:
                learned = self._learned(made, learned, both_domains(scale, rows, found, net.outputs), key)
            learned = self._brought(made, learned, standard(scale, found.unlabelled), key)
        held = {name: leaf.detach().clone() for name, leaf in learned.params.items()}
        return {**scale, "params": held, "buffers": dict(learned.buffers)}

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, classes] for rows of the target."""
        rows = net.features(transfer.params, transfer.buffers, x)
        made = _made(self.hidden, rows.shape[1], net.outputs, self.norm)
        with moments_from(Rows(frozen=True)):
            return made(fitted["params"], fitted["buffers"], (rows - fitted["mean"]) / fitted["deviation"])

    def _learned(self, net: Net, start: Transfer, data: DomainData, key: int) -> Transfer:
        self.learner.check(net, start, data)
        state = self.learner.init(net, start)
        for step in range(self.learner.steps):
            in_time()
            state, _ = self.learner.step(net, Loop(), state, self.learner.draw(data, key, step))
        return self.learner.finish(net, state)

    def _brought(self, net: Net, learned: Transfer, target: Tensor, key: int) -> Transfer:
        """The net with what rows of the target say without labels: steps, then moments."""
        if self.after is not None:
            guide = learned.guide if self.guide is None else self.guide(net, learned)
            params = self.after.fit(net, replaced(learned, guide=guide), Batch(target), key)
            learned = replaced(learned, params=params)
        if self.moments_of == "source":
            return learned
        rows = Rows(first=len(target), sink={})
        with torch.no_grad(), moments_from(rows):
            net(learned.params, learned.buffers, target)
        return replaced(learned, buffers=net.updated_buffers(learned.buffers, rows.sink or {}, 1.0))


@lru_cache(maxsize=16)
def _made(hidden: tuple[int, ...], width: int, outputs: int, norm: bool) -> Net:
    return Net.of(MLP((width,), outputs, hidden, norm=norm))

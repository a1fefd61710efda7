"""Ablation of heads and neurons, by zero or by their mean, and of random units beside them.

with ablate_units(model, "neuron", [(2, 17), (2, 40)]):     # generation too is ablated
handle.replies(requests, "no_think")
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.architecture import UnitKind, architecture_of
from rim_eval.mechanisms.batches import in_batches
from rim_eval.mechanisms.behaviour import AnalysisConfig
from rim_eval.mechanisms.capture import capture_neurons
from rim_eval.mechanisms.completeness import check_padding
from rim_eval.mechanisms.effects import Effects, Intervention, measure_effects
from rim_eval.mechanisms.hooks import UnitHook, hook_units
from rim_eval.mechanisms.interventions import intervening
from rim_eval.mechanisms.random_controls import RandomSets, draw_random_sets
from rim_eval.mechanisms.replies import key_of
from rim_eval.mechanisms.spans import Passage
from rim_eval.mechanisms.units import Unit, Units, by_layer, check_units, outgoing_sizes
from rim_eval.types import MODES, Mode

Means = Mapping[int, NDArray[np.float32]]
"""Layer to mean values: heads (heads, head_dim), neurons (neurons,)."""


@contextmanager
def ablate_units(
    model: Any, kind: UnitKind, units: Units, means: Means | None = None
) -> Iterator[None]:
    """Replace heads' outputs before the output projection, or MLP activations before the down projection.

        z[l, h] <- 0,  a[l, j] <- 0, or their means over reference texts    (paper section 4.1.2: 0)

    Args:
        model: A Hugging Face causal language model.
        kind: Kind of the units.
        units: (layer, number) pairs, none to leave the model as it is; a neuron of an expert has the
            number expert * width + j.
        means: From `mean_units`, for mean ablation; None for zero ablation.

    Raises:
        RimError: The model has no such unit.
    """
    import torch

    parts = architecture_of(model)
    check_units(parts, **{f"{kind}s": units})

    def overwrite(layer: int, numbers: NDArray[np.int64]) -> UnitHook:
        def hook(acts: Any, _tokens: Any, first: int) -> Any:
            here = numbers[(numbers >= first) & (numbers < first + acts.shape[1])]
            if not len(here):
                return None
            changed = acts.clone()
            value = 0.0 if means is None else torch.tensor(means[layer][here]).to(acts)
            changed[:, torch.tensor(here - first, device=acts.device)] = value
            return changed

        return hook

    hooks = {
        layer: overwrite(layer, np.array(numbers)) for layer, numbers in by_layer(units).items()
    }
    # Nothing is done without units, so the replies are the untouched model's.
    values = [means[layer].tobytes().hex() for layer in hooks] if means else None
    key = key_of("ablation", kind, sorted(map(tuple, units)), values)
    with intervening(model, key, hook_units(parts, kind, hooks)) if hooks else nullcontext():
        yield


def mean_units(model: Any, passages: Sequence[Passage], kind: UnitKind) -> Means:
    """Average every unit over all tokens of the passages; a neuron is 0 where it is not routed to.

    Args:
        model: A Hugging Face causal language model.
        passages: Reference texts.
        kind: Heads, whose outputs are averaged, or neurons, whose activations are.
    """
    import torch

    parts = architecture_of(model)
    check_padding(parts)
    counts = parts.unit_counts(kind)
    layers = [layer for layer, count in enumerate(counts) if count]
    shapes = {
        layer: (counts[layer], parts.head_dims[layer]) if kind == "head" else (counts[layer],)
        for layer in layers
    }
    sums = {layer: np.zeros(shape) for layer, shape in shapes.items()}

    def read(_rows: list[int], ids: Any, mask: Any) -> None:
        is_text = mask.flatten().bool()
        # Of this batch alone: one for which memory runs out is read again.
        read = {layer: np.zeros(shape) for layer, shape in shapes.items()}

        def add(layer: int) -> UnitHook:
            def hook(acts: Any, tokens: Any, first: int) -> None:
                total = acts[is_text[tokens]].float().sum(0)
                read[layer][first : first + len(total)] += total.cpu().numpy()

            return hook

        with (
            torch.inference_mode(),
            hook_units(parts, kind, {layer: add(layer) for layer in layers}),
        ):
            parts.run(ids, mask)
        for layer, total in read.items():
            sums[layer] += total

    in_batches(passages, parts.device, read, tokens=4096)
    count = sum(len(passage.ids) for passage in passages)
    return {layer: (total / count).astype(np.float32) for layer, total in sums.items()}


class UnitAblation:
    """Ablates the heads or neurons of an analysis, by zero or by mean, and random sets beside them."""

    def __init__(self, config: AnalysisConfig, kind: UnitKind) -> None:
        """Prepare the ablation; means are over every prompt with its reply, in both modes.

        Args:
            config: Model, prompts, fill, number of draws and seed.
            kind: Kind of the units.
        """
        self.config, self.kind, self.model = config, kind, config.handle.model
        self.widths = architecture_of(self.model).unit_counts(kind)
        self.means: Means | None = None
        self._sizes: dict[Mode, NDArray[np.float64]] = {}
        if config.fill == "mean":
            requests = [request for _, request in config.prompts.all()]
            passages = [
                passage
                for mode in MODES
                for passage in config.handle.passages(
                    requests, mode, config.replies(requests, mode)
                )
            ]
            self.means = mean_units(self.model, passages, kind)

    def __call__(self, units: Units) -> AbstractContextManager[None]:
        """Ablate a set inside a `with` block."""
        return ablate_units(self.model, self.kind, units, self.means)

    def draw(self, units: Units, mode: Mode = "no_think") -> RandomSets:
        """Draw random sets beside a set: heads of the same layers, neurons that also write as much.

        A layer has few more heads than a unit takes neighbours, so heads are matched by layer alone, and
        what they do is ranked in one unit: they are found by their attention, not by how much they write.
        """
        draws, seed = self.config.draws, self.config.seed
        sizes = self.sizes(mode) if self.kind == "neuron" and self.config.prompts.harmful else None
        return draw_random_sets(units, self.widths, draws=draws, seed=seed, covariates=sizes)

    def sizes(self, mode: Mode) -> NDArray[np.float64]:
        """How much each neuron writes: mean absolute activation times norm of its outgoing weights.

        It is read on the harmful prompts with the untouched model's replies, from request to end.

        Returns:
            Shape (neurons, 1), layers one after the other.
        """
        if mode not in self._sizes:
            handle, harmful = self.config.handle, self.config.prompts.harmful
            passages = handle.passages(harmful, mode, self.config.replies(harmful, mode))
            active = capture_neurons(self.model, passages, "mean_abs", "text").mean(0)
            with suppress(RimError):  # which weights are a neuron's is not known: activation alone
                active = active * outgoing_sizes(self.model)
            self._sizes[mode] = active[:, None].astype(np.float64)
        return self._sizes[mode]

    def effects(self, units: tuple[Unit, ...], mode: Mode) -> Effects:
        """Measure what ablating a set does in a mode."""
        verb = "zeroing" if self.config.fill == "zero" else "fixing at their mean"
        what = f"{verb} {len(units)} {self.kind}{'s' if len(units) > 1 else ''}"
        config, intervention = self.config, Intervention(what, units, self.draw(units, mode), self)
        return measure_effects(intervention, config.observe, mode, untouched=config.untouched(mode))

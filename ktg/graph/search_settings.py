"""How a space is searched, as plain frozen data with its rules, like `ktg.graph.spec`."""

from dataclasses import dataclass
from typing import Literal

from ktg.graph.spec import rule

SamplerName = Literal["random", "tpe", "gp", "grid"]
SchedulerName = Literal["asha", "hyperband", "none"]


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a search space is searched."""

    trials: int = rule("Different graphs to train, the baselines not counted.", 100, at_least=1)
    sampler: SamplerName = rule(
        "How the next graph is chosen: at random, by Optuna's TPE or Gaussian process, or each of a small space once.",
        "tpe",
    )
    scheduler: SchedulerName = rule(
        "asha stops poor trials early; hyperband does, but gives a part of the trials more time before it.",
        "asha",
    )
    grace_epochs: int = rule("Epochs every trial gets before ASHA may stop it.", 1, at_least=1)
    reduction_factor: float = rule("ASHA keeps one in this many at every rung.", 2, above=1)
    gpus_per_trial: float | None = rule(
        "Share of a GPU for one trial; default: 1 where there is a GPU.", None, at_least=0
    )
    cpus_per_trial: float = rule("CPU cores for one trial, and its number of threads.", 1, above=0)
    concurrent: int | None = rule(
        "Most trials at once; default: what the resources carry.", None, at_least=1
    )
    baselines: bool = rule(
        "Train alone, distillation and mutual learning first, under the full budget.", True
    )
    seed: int = rule("Seed of the sampler.", 0, at_least=0)

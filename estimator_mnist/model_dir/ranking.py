"""Which evaluation of a run is the best one."""

import math
from typing import Mapping, NamedTuple, Tuple

from estimator_mnist.config.experiment import Experiment

Figures = Mapping[str, float]  # "loss", "accuracy" and the user's metric


class Ranking(NamedTuple):
    """What evaluations are compared by."""

    measure: str = "accuracy"
    lower_is_better: bool = False

    def score(self, evaluation: Figures) -> float:
        """Returns the measure of an evaluation, negated where lower is better."""
        value = float(evaluation[self.measure])
        if math.isnan(value):
            return -math.inf
        return -value if self.lower_is_better else value

    def key(self, evaluation: Figures) -> Tuple[float, float]:
        """Returns the sort key of an evaluation, larger for a better one: its score, then the negative loss."""
        return self.score(evaluation), -float(evaluation["loss"])

    def best_step(self, evaluations: Mapping[int, Figures]) -> int:
        """Returns the step of the best evaluation, the earliest one of equals."""
        return max(sorted(evaluations), key=lambda step: self.key(evaluations[step]))

    def is_better(self, best_eval_result: Figures, current_eval_result: Figures) -> bool:
        """Compares two evaluations, with the arguments of tf.estimator.BestExporter's compare_fn."""
        return self.key(current_eval_result) > self.key(best_eval_result)


def of_experiment(experiment: Experiment) -> Ranking:
    """Returns what --best_metric says. A user's metric with an attribute lower_is_better = True is an error measure.

    Raises:
        InputError: The file of the metric cannot be read, or raises an exception.
    """
    if experiment.best_metric in ("accuracy", "loss"):
        return Ranking(experiment.best_metric, lower_is_better=experiment.best_metric == "loss")
    metric = experiment.user_function("metric")
    return Ranking(experiment.best_metric, bool(metric and getattr(metric.value, "lower_is_better", False)))

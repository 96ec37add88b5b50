"""Which values of an Experiment exclude each other. Experiment imports this module, hence takes the type Any here."""

from typing import Any, Iterator, Tuple

from estimator_mnist import user_code

Rule = Tuple[str, bool, str]  # a field, whether its value is possible, and what it must be

MAX_EVALUATIONS = 10_000  # over a run


def rules(experiment: Any) -> Iterator[Rule]:
    """Yields every rule that involves more than one field. The rules of a single field are in its declaration."""
    yield from _of_distribution(experiment)
    yield from _of_architecture(experiment)
    yield from _of_length(experiment)
    yield from _of_user_code(experiment)
    numbered = experiment.augment == "none" or experiment.input != "stream"
    yield "augment", numbered, "none with --input stream, where examples have no numbers to draw by"
    smooth = experiment.label_smoothing == 0 or experiment.loss == "cross_entropy"
    yield "label_smoothing", smooth, f"0 with --loss {experiment.loss}"


def _of_distribution(experiment: Any) -> Iterator[Rule]:
    strategy = experiment.strategy
    shared = strategy == "none" or experiment.input == "indexed"
    yield "strategy", shared, f"none with --input {experiment.input}: only indexed batches can be shared"
    same_step_sizes = strategy != "parameter_server" or experiment.optimizer != "lecun"
    yield "strategy", same_step_sizes, "another with --optimizer lecun, whose step sizes all replicas must share"
    yield "replicas", not experiment.replicas or strategy == "mirrored", "0 without --strategy mirrored"
    alone = not experiment.batch_norm or strategy == "none"
    yield "batch_norm", alone, f"false with --strategy {strategy}: replicas do not share a batch's statistics"


def _of_architecture(experiment: Any) -> Iterator[Rule]:
    options = experiment.architecture.options
    without = f"with --model {experiment.model}"
    yield "batch_norm", not experiment.batch_norm or "batch_norm" in options, f"false {without}"
    paper = experiment.lenet5_form == "1998"
    yield "lenet5_form", not paper or "lenet5_form" in options, f"today {without}"
    penalties = "cross_entropy: only the outputs of --lenet5_form 1998 are penalties"
    of_logits = experiment.loss == "cross_entropy" or user_code.is_reference(experiment.loss)
    yield "loss", paper or of_logits, penalties
    second = "another: only --lenet5_form 1998 has second derivatives"
    yield "optimizer", paper or experiment.optimizer != "lecun", second
    yield from experiment.architecture.requirements(experiment)


def _of_length(experiment: Any) -> Iterator[Rule]:
    steps = experiment.total_steps
    yield "train_steps", steps < 2**31, "given for a run of fewer than 2**31 steps"
    if experiment.evals is None:
        few = experiment.epochs <= MAX_EVALUATIONS
        yield "evals", few, f"given for a run of more than {MAX_EVALUATIONS:,} epochs"
    else:
        limit = f"at most {steps}, the steps of the run, and at most {MAX_EVALUATIONS:,}"
        yield "evals", experiment.evals <= min(steps, MAX_EVALUATIONS), limit


def _of_user_code(experiment: Any) -> Iterator[Rule]:
    functions = (experiment.model, experiment.loss, experiment.metric, experiment.optimizer, experiment.augment)
    references = [user_code.parse(name) for name in functions if user_code.is_reference(name)]
    named = {reference.file for reference in references}
    yield "user_code", named == set(experiment.user_code), f"the SHA-256 of each of {sorted(named)}, and no other"
    measures = ["accuracy", "loss"]
    if experiment.metric:
        measures.append(user_code.parse(experiment.metric).function)
        is_reserved = measures[-1] in ("accuracy", "loss", "global_step")
        yield "metric", not is_reserved, "a function of another name: evaluations have a figure of this one"
    wanted = ", ".join(measures[:-1]) + f" or {measures[-1]}"
    yield (
        "best_metric",
        experiment.best_metric in measures,
        wanted if experiment.metric else f"{wanted} without --metric",
    )

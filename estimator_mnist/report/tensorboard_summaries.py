"""What TensorBoard shows of a finished run beside the scalars and histograms of its training.

Each folder gets one event file of a fixed name, which is replaced atomically. So the summaries exist once, however
often a run is finished or its report rebuilt.
"""

import dataclasses
import os
import re
from pathlib import Path
from typing import Any, Dict, List, Sequence

import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as hparams
from tensorboard.plugins.pr_curve import summary as pr_curve

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import DATA, MAY_CHANGE
from estimator_mnist.evaluation.metrics import MANY_CLASSES, Classified, class_metrics, worst_classes
from estimator_mnist.model_dir.event_files import folder_of

# TensorBoard reads the event files of a folder in the order of their names. This one sorts after those of the training.
FILE_NAME = "events.out.tfevents.9999999999.end"


def write(
    experiment: Experiment, classified: Classified, pictures: Dict[str, bytes], ended: float, model_dir: Path
) -> None:
    """Writes the summaries of a finished run.

    Args:
        experiment: The finished experiment.
        classified: Its evaluated split.
        pictures: {name: content of a PNG file}. "filters", if it is there, is shown with the training, the others with
            the evaluations.
        ended: time.time() of its last step.
        model_dir: The run's folder, in which TensorBoard looks.
    """
    split = experiment.evaluated_split
    images = {name: _image(name, content) for name, content in pictures.items()}
    layout = _layout(split, experiment.metric_name)
    training = [*_hyperparameters(experiment, ended), custom_scalar.pb(layout)]
    training += [images.pop("filters")] if "filters" in images else []
    evaluation = [*images.values(), *_pr_curves(classified, experiment.class_names)]
    for summaries, folder in ((training, model_dir), (evaluation, model_dir / folder_of(split))):
        _write_events(summaries, experiment.total_steps, ended, folder)


def hyperparameters(experiment: Experiment) -> Dict[str, Any]:
    """Returns {name: bool, number or text} of the settings that can make two experiments learn differently."""
    values = {**dataclasses.asdict(experiment), "train_steps": experiment.total_steps}
    values["evals"] = len(experiment.evaluation_steps)
    left_out = (MAY_CHANGE | DATA) - {"train_examples", "test_examples"}
    settings = {name: value for name, value in values.items() if name not in left_out and value is not None}
    # Runs of two versions of a file are two columns of one table.
    return {**settings, **{f"sha256 of {file}": digest[:12] for file, digest in experiment.user_code.items()}}


def _hyperparameters(experiment: Experiment, ended: float) -> List[tf.compat.v1.Summary]:
    """Returns the summaries of the HParams tab: columns of the table, this run's settings, and its state."""
    values, split = hyperparameters(experiment), experiment.evaluated_split
    infos = [api_pb2.HParamInfo(name=name, type=_hparam_type(value)) for name, value in values.items()]
    metrics = [
        ("accuracy", folder_of(split), f"{split} accuracy"),
        ("loss", folder_of(split), f"{split} loss"),
        ("loss", "", "training loss"),
        ("images_per_second", "", "images per second"),
    ]
    metric = experiment.metric_name
    metrics += [(metric, folder_of(split), f"{split} {metric}")] if metric else []
    metric_infos = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag, group=group), display_name=display_name)
        for tag, group, display_name in metrics
    ]
    return [
        hparams.experiment_pb(infos, metric_infos, time_created_secs=ended),
        hparams.session_start_pb(values, start_time_secs=ended),
        hparams.session_end_pb(api_pb2.STATUS_SUCCESS, end_time_secs=ended),
    ]


def _hparam_type(value: Any) -> int:
    if isinstance(value, bool):
        return api_pb2.DATA_TYPE_BOOL
    return api_pb2.DATA_TYPE_STRING if isinstance(value, str) else api_pb2.DATA_TYPE_FLOAT64


def _layout(split: str, metric: str) -> layout_pb2.Layout:
    """Returns the charts of the custom scalars tab.

    A chart draws the tags that match its pattern, in all runs and their evaluations.

    Args:
        split: The evaluated split.
        metric: The name of the user's; "" without one.
    """

    def category(title: str, /, **charts: str) -> layout_pb2.Category:
        return layout_pb2.Category(
            title=title,
            chart=[
                layout_pb2.Chart(
                    title=name.replace("_", " "), multiline=layout_pb2.MultilineChartContent(tag=[pattern])
                )
                for name, pattern in charts.items()
            ],
        )

    return layout_pb2.Layout(
        category=[
            category(f"training and {split}", loss="^loss$", accuracy="^accuracy$"),
            *([category(f"{split} metric", **{metric: f"^{re.escape(metric)}$"})] if metric else []),
            category(f"{split} accuracy of each class", accuracy_of_each_class="^accuracy_of_class/"),
            category("training", learning_rate="^learning_rate$", images_per_second="^images_per_second$"),
        ]
    )


def _pr_curves(classified: Classified, names: Sequence[str]) -> List[tf.compat.v1.Summary]:
    """Returns a curve for each class, or for the worst ones of many."""
    indices: Sequence[int] = range(len(names))
    if len(names) > MANY_CLASSES:
        indices = worst_classes(class_metrics(classified, names), MANY_CLASSES)
    return [
        pr_curve.pb(f"pr_curve/{names[index]}", classified.labels == index, classified.probabilities[:, index])
        for index in indices
    ]


def _image(name: str, content: bytes) -> tf.compat.v1.Summary:
    image = tf.compat.v1.Summary.Image(encoded_image_string=content, colorspace=3)
    image.width, image.height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))  # PNG's IHDR
    return tf.compat.v1.Summary(value=[tf.compat.v1.Summary.Value(tag=name, image=image)])


def _write_events(summaries: Sequence[tf.compat.v1.Summary], step: int, wall_time: float, folder: Path) -> None:
    """Replaces the folder's event file atomically: a reader sees the old file or the new one, never a part."""
    new = folder / f"{FILE_NAME}.new-{os.getpid()}".replace("tfevents", "unfinished")
    events = [tf.compat.v1.Event(file_version="brain.Event:2")]
    events += [tf.compat.v1.Event(step=step, summary=summary) for summary in summaries]
    folder.mkdir(exist_ok=True)
    try:
        with tf.io.TFRecordWriter(str(new)) as writer:
            for event in events:
                event.wall_time = wall_time
                writer.write(event.SerializeToString())
        new.replace(folder / FILE_NAME)
    finally:
        new.unlink(missing_ok=True)

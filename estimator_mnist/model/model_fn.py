"""The EstimatorSpec of each mode; the only place that asks which mode it is."""

from typing import Dict, Optional

import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers.network import Network, scaled
from estimator_mnist.model import cpu_parallelism, eval_metrics, training_progress, weight_ema
from estimator_mnist.model.batches import Features, block_of
from estimator_mnist.model.optimizers import Optimizer
from estimator_mnist.model.train_step import Trainer, train_on_block

Outputs = Dict[str, tf.Tensor]


def model_fn(
    features: Features, labels: Optional[tf.Tensor], mode: str, params: Dict[str, Experiment]
) -> tf.estimator.EstimatorSpec:
    """Returns what Estimator runs in a mode.

    Args:
        features: {"image": uint8 of 0 to 255 or float32 of 0 to 1, [n, height, width, channels] or [n, height,
            width]}. In TRAIN the examples of one or more successive batches, which are trained on one after the
            other. `input_fns.train_input_fn` says what else comes with them where several processes share the
            training, or step sizes are estimated.
        labels: Class indices, integer [n], or one-hot, [n, classes]; None in PREDICT.
        mode: A `tf.estimator.ModeKeys`.
        params: {"experiment": the Experiment}.
    """
    experiment = params["experiment"]
    if mode == tf.estimator.ModeKeys.TRAIN:
        return _train(experiment, features, _class_indices(labels))
    network = create_network(experiment)
    network.build(experiment.seed)
    if mode == tf.estimator.ModeKeys.EVAL:
        outputs = classify(experiment, network, features["image"])
        loss, metrics = eval_metrics.of_split(experiment, outputs["logits"], _class_indices(labels))
        return tf.estimator.EstimatorSpec(mode, predictions=outputs, loss=loss, eval_metric_ops=metrics)
    outputs = predictions(network(scaled(features["image"])))
    return tf.estimator.EstimatorSpec(mode, predictions=outputs, export_outputs=_signatures(outputs))


@tf.autograph.experimental.do_not_convert  # it is plain TensorFlow; strategies would have its source parsed
def _train(experiment: Experiment, features: Features, labels: tf.Tensor) -> tf.estimator.EstimatorSpec:
    network = create_network(experiment, cpu_parallelism.partitions(experiment))
    average = weight_ema.build(experiment, network)
    trainer = Trainer(network, Optimizer(experiment, network), average)
    global_step = tf.compat.v1.train.get_or_create_global_step()
    block = block_of(features, labels, global_step.read_value())
    result = train_on_block(experiment, trainer, block)
    train_op = training_progress.advance(experiment, block, result)
    loss = training_progress.report(block, result, train_op)
    return tf.estimator.EstimatorSpec(tf.estimator.ModeKeys.TRAIN, loss=loss, train_op=train_op.op)


def classify(experiment: Experiment, network: Network, images: tf.Tensor) -> Outputs:
    """Returns `predictions`, and "hidden", the layer before the logits, float32 [n, units].

    The images, as in `model_fn`, are cut into as many parts as there are chains of ops in training.
    """
    parts = cpu_parallelism.split_for_inference(experiment, images)
    outputs = [network.outputs(scaled(part)) for part in parts]
    hidden, logits = (tf.concat([layers[index][0] for layers in outputs], axis=0) for index in (-2, -1))
    return {**predictions(logits), "hidden": tf.reshape(hidden, [tf.shape(hidden)[0], -1])}


def predictions(logits: tf.Tensor) -> Outputs:
    """Returns logits and probabilities, float32 [n, classes], and classes, int64 [n]."""
    return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
        "classes": tf.argmax(logits, axis=1),
    }


def _signatures(outputs: Outputs) -> Dict[str, tf.estimator.export.PredictOutput]:
    # Not a ClassificationOutput, whose signature would take serialized tf.Examples and no images.
    classified = tf.estimator.export.PredictOutput({name: outputs[name] for name in ("classes", "probabilities")})
    return {
        tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: classified,
        "classify": classified,
        "predict": tf.estimator.export.PredictOutput(outputs),
    }


def _class_indices(labels: tf.Tensor) -> tf.Tensor:
    return tf.cast(labels if labels.shape.rank == 1 else tf.argmax(labels, axis=1), tf.int32)

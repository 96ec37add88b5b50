"""The EstimatorSpec of each mode; the only place that asks which mode it is."""

from typing import Any, Dict, Optional

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers.network import Network, scaled
from estimator_mnist.model import cpu_parallelism, eval_metrics, model_inputs, training_progress, weight_ema
from estimator_mnist.model.batches import Features, block_of
from estimator_mnist.model.optimizers import Optimizer
from estimator_mnist.model.train_step import Trainer, train_on_block

Outputs = Dict[str, tf.Tensor]
MAX_HIDDEN = 512  # units of the layer before the logits that are returned: of large images they would fill the memory


def model_fn(
    features: Features, labels: Optional[tf.Tensor], mode: str, params: Dict[str, Experiment]
) -> tf.estimator.EstimatorSpec:
    """Returns what Estimator runs in a mode.

    Args:
        features: {"image": integers of 0 to 255 or floats of 0 to 1, [n, height, width, channels] or, of one channel,
            [n, height, width]}. In TRAIN the examples of one or more successive batches, which are trained on one after
            the other. `input_fns.train_input_fn` says what else comes with them where several processes share the
            training, or step sizes are estimated.
        labels: Class indices, integer [n] or [n, 1], or one-hot, [n, classes]; None in PREDICT.
        mode: A `tf.estimator.ModeKeys`.
        params: {"experiment": the Experiment}.

    Raises:
        InputError: The features, labels or params are something else. Values out of their range are refused when the
            graph runs: by an InvalidArgumentError in TRAIN and EVAL, and by an InputError in `Estimator.predict`.
    """
    experiment = model_inputs.experiment_of(params)
    if mode == tf.estimator.ModeKeys.TRAIN:
        return _train(experiment, features, labels)
    if mode == tf.estimator.ModeKeys.EVAL:
        # With the variables that training has: tf.estimator.experimental.InMemoryEvaluatorHook copies them by name.
        return evaluation(experiment, features, labels, cpu_parallelism.partitions(experiment))
    images = model_inputs.images_of(features, experiment.image_shape)
    network = create_network(experiment)
    network.build(experiment.seed)
    outputs = predictions(network(scaled(images)))
    return tf.estimator.EstimatorSpec(
        mode,
        predictions=outputs,
        export_outputs=_signatures(outputs),
        prediction_hooks=[] if images.dtype == tf.uint8 else [model_inputs.ImageRangeHook(images)],
    )


@tf.autograph.experimental.do_not_convert  # it is plain TensorFlow; strategies would have its source parsed
def _train(experiment: Experiment, features: Features, labels: Any) -> tf.estimator.EstimatorSpec:
    model_inputs.check_replicas(experiment, features)
    images = model_inputs.checked_range(model_inputs.images_of(features, experiment.image_shape))
    class_indices = model_inputs.class_indices(labels, experiment.classes)
    network = create_network(experiment, cpu_parallelism.partitions(experiment))
    average = weight_ema.build(experiment, network)
    trainer = Trainer(network, Optimizer(experiment, network), average)
    global_step = tf.compat.v1.train.get_or_create_global_step()
    block = block_of({**features, "image": images}, class_indices, global_step.read_value())
    block = model_inputs.checked_block(experiment, block)
    result = train_on_block(experiment, trainer, block)
    train_op = training_progress.advance(experiment, block, result)
    loss = training_progress.report(block, result, train_op)
    # Batches that `train_input_fn` has counted end with the run.
    hooks = [training_progress.LastStepHook(experiment.total_steps)] if block.step_numbers is None else []
    return tf.estimator.EstimatorSpec(
        tf.estimator.ModeKeys.TRAIN, loss=loss, train_op=train_op.op, training_hooks=hooks
    )


def evaluation(
    experiment: Experiment, features: Features, labels: Any, partitions: int = 1
) -> tf.estimator.EstimatorSpec:
    """Returns what Estimator runs in EVAL, with the loss, the metrics and the outputs of `classify`.

    Args:
        experiment: What is evaluated.
        features: As in `model_fn`.
        labels: As in `model_fn`.
        partitions: How many partitions the network's variables have.
    """
    model_inputs.check_replicas(experiment, None)
    images = model_inputs.checked_range(model_inputs.images_of(features, experiment.image_shape))
    class_indices = model_inputs.class_indices(labels, experiment.classes)
    network = create_network(experiment, partitions)
    network.build(experiment.seed)
    outputs = classify(experiment, network, images)
    loss, metrics = eval_metrics.of_split(experiment, outputs["logits"], class_indices)
    return tf.estimator.EstimatorSpec(
        tf.estimator.ModeKeys.EVAL, predictions=outputs, loss=loss, eval_metric_ops=metrics
    )


def classify(experiment: Experiment, network: Network, images: tf.Tensor) -> Outputs:
    """Returns `predictions`, and "hidden", the layer before the logits, float32 [n, units].

    Of a larger layer, "hidden" has MAX_HIDDEN units at even distances. The images, as in `model_fn`, are cut into as
    many parts as there are chains of ops in training.
    """
    parts = [scaled(part) for part in cpu_parallelism.split_for_inference(experiment, images)]
    outputs = [network.outputs(part) for part in parts]
    logits = tf.concat([layers[-1][0] for layers in outputs], axis=0)
    # A network may consist of one layer. Its input is all that there is before the logits.
    before = [layers[-2] if len(layers) > 1 else [part] for part, layers in zip(parts, outputs)]
    hidden = [tf.concat(partitions, axis=-1) if len(partitions) > 1 else partitions[0] for partitions in before]
    return {**predictions(logits), "hidden": _units(tf.concat(hidden, axis=0))}


def _units(layer: tf.Tensor) -> tf.Tensor:
    """Returns a layer's outputs as vectors, float32 [n, at most MAX_HIDDEN]."""
    units = layer.shape[1:].num_elements()
    vectors = tf.reshape(layer, [tf.shape(layer)[0], units or -1])
    if units is None or units <= MAX_HIDDEN:
        return vectors
    return tf.gather(vectors, np.linspace(0, units - 1, MAX_HIDDEN).round().astype(np.int32), axis=1)


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

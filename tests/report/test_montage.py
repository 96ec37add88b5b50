"""The arrangement of many small images in one."""

import numpy as np

from estimator_mnist.report.montage import montage


def test_a_montage_arranges_images_in_rows():
    images = np.arange(5 * 4).reshape(5, 2, 2)
    arranged = montage(images, columns=3, gap=1, fill=-1)
    assert arranged.shape == (5, 8)
    for index, image in enumerate(images):
        row, column = divmod(index, 3)
        assert (arranged[row * 3 : row * 3 + 2, column * 3 : column * 3 + 2] == image).all()
    assert (arranged[2] == -1).all() and (arranged[:, 2] == -1).all() and (arranged[3:, 6:] == -1).all()
    assert montage(images, columns=5).shape == (2, 10)

"""PyTorch: "loader", with a DataLoader; "indexed", with batches by indexing; "compiled", indexed and compiled."""

import torch
from torch import nn

from benchmarks.peers.task import DROPOUT, LEARNING_RATE, from_command_line, images_and_labels, measure

task = from_command_line()
arrays = images_and_labels(task)
images = torch.from_numpy(arrays[0]).permute(0, 3, 1, 2).contiguous()
labels = torch.from_numpy(arrays[1]).long()
head = [nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(128, 10)]
if task.model == "dense":
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), *head)
else:
    images = images.to(memory_format=torch.channels_last)
    network = nn.Sequential(
        *(nn.Conv2d(1, 64, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 96, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(2400, 128), *head),
    ).to(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)
criterion = nn.CrossEntropyLoss()


def step(batch: torch.Tensor, target: torch.Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    criterion(network(batch), target).backward()
    optimizer.step()


def loaded(steps: int) -> None:
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), task.batch_size, shuffle=True)
    done = 0
    while done < steps:
        for batch, target in loader:
            step(batch, target)
            done += 1
            if done == steps:
                return


def indexed(steps: int) -> None:
    done = 0
    while done < steps:
        for chosen in torch.randperm(len(images)).split(task.batch_size)[: steps - done]:
            run(images[chosen], labels[chosen])
            done += 1


if task.variant == "compiled":
    network.compile()
run = step
measure(task, loaded if task.variant == "loader" else indexed)

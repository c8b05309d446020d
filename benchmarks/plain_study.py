"""The study that people write first: Optuna, MLflow and the textbook's training loop, one trial at a time.

    python benchmarks/plain_study.py ROOT --trials 6 --epochs 3

``benchmarks/whole_study.py`` times it against ours. Nothing in it is slow on purpose: it is what the three
libraries' own tutorials come to when they are put together.

ROOT is torchvision's folder of Fashion-MNIST; ``optuna.db`` and ``mlflow.db`` are made where it runs.
"""

from __future__ import annotations

import argparse

import mlflow
import optuna
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("plain")
    study = optuna.create_study(
        storage="sqlite:///optuna.db", direction="maximize", pruner=optuna.pruners.NopPruner()
    )
    study.optimize(lambda trial: train(trial, options.root, options.epochs), options.trials)
    print(study.best_value, study.best_params)


def train(trial: optuna.Trial, root: str, epochs: int) -> float:
    """Train LeNet by what the trial asks; return its validation accuracy."""
    everything = FashionMNIST(root, train=True, transform=ToTensor())
    batches = DataLoader(Subset(everything, range(50_000)), batch_size=256, shuffle=True)
    held_out = DataLoader(Subset(everything, range(50_000, 60_000)), batch_size=256)
    network = lenet()
    sgd = torch.optim.SGD(network.parameters(), lr=trial.suggest_float("lr", 0.02, 2, log=True))
    schedule = make_schedule(trial, sgd, epochs)
    accuracy = 0.0
    with mlflow.start_run():
        mlflow.log_params(trial.params)
        for epoch in range(epochs):
            for images, labels in batches:
                sgd.zero_grad()
                loss = nn.functional.cross_entropy(network(images), labels)
                loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
                sgd.step()
            mlflow.log_metric("lr", sgd.param_groups[0]["lr"], step=epoch)
            schedule.step()
            accuracy = evaluate(network, held_out)
            mlflow.log_metric("val_accuracy", accuracy, step=epoch)
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
    return accuracy


def make_schedule(trial: optuna.Trial, sgd: torch.optim.SGD, epochs: int) -> lr_scheduler.LRScheduler:
    """Sample one of three schedules."""
    kind = trial.suggest_categorical("schedule", ["cosine", "step", "constant"])
    if kind == "cosine":
        return lr_scheduler.CosineAnnealingLR(sgd, epochs)
    if kind == "step":
        return lr_scheduler.MultiStepLR(sgd, [epochs // 2], gamma=trial.suggest_float("gamma", 0.05, 0.5))
    return lr_scheduler.ConstantLR(sgd, 1.0)


@torch.no_grad()
def evaluate(network: nn.Module, held_out: DataLoader[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Return the accuracy on the validation images."""
    right = sum(float((network(images).argmax(1) == labels).sum()) for images, labels in held_out)
    return right / 10_000


def lenet() -> nn.Sequential:
    """Return LeNet as the study trains it: ReLU and max pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


if __name__ == "__main__":
    main()

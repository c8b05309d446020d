"""``python -m study.confirm`` on a tiny study: a verdict, a kill on the way, a certificate that is checked."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest

from study.confirm import main
from study.loops.confirm_options import ConfirmOptions
from study.problems import fashion_mnist as images
from tests.running import PATIENCE, run_command, started, words

Refused = Callable[..., str]

#: Two finalists judged once, after two seeds, on few images.
TINY = ("--finalists", "2", "--train-images", "5000", "--device", "cpu", "--margin", "0")
SMALL = (*TINY, "--looks", "2")
#: Three looks.
PLANNED = (*TINY, "--looks", "2,3,4", "--level", "0.9")
KILLS = 25
EPOCHS = 3


def run(folder: Path, command: str, *arguments: str, code: int = 0) -> str:
    """Run a command in a folder; return what it printed."""
    return run_command(folder, f"study.{command}", *arguments, code=code)


def certificate(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "certificate.json").read_text("utf-8"))
    return data


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two families, four trials. Tests work on copies."""
    folder = tmp_path_factory.mktemp("searched")
    small = ("--epochs", str(EPOCHS), "--train-images", "1000", "--lanes", "4", "--device", "cpu")
    run(folder, "search", "--trials", "4", "--schedules", "constant,cosine", "--pruner", "none", *small)
    return folder


@pytest.fixture(scope="module")
def confirmed(study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The study confirmed, and what was printed. Tests that change something work on copies."""
    folder = tmp_path_factory.mktemp("confirmed") / "study"
    shutil.copytree(study, folder)
    return folder, run(folder, "confirm", *SMALL)


def children(folder: Path, kind: str = "confirm") -> list[Any]:
    """MLflow's runs of the confirmation, or of the heats before it."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.kind = '{kind}'")
    return [run for run in found if "mlflow.parentRunId" in run.data.tags]


def parent_names(folder: Path, runs: list[Any]) -> set[str]:
    """Names of MLflow's parents of some runs."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return {str(client.get_run(r.data.tags["mlflow.parentRunId"]).info.run_name) for r in runs}


@pytest.mark.slow
def test_heats_choose_the_finalists(study: Path, tmp_path: Path) -> None:
    """All four trials run twice on validation images; the best of each family goes through; again, nothing is trained."""
    folder = tmp_path / "study"
    shutil.copytree(study, folder)
    late = run(folder, "confirm", *SMALL, "--heats", "2", "--budget", "0.01s")
    assert "The time is up before the last of the heats; the same command goes on." in late
    said = run(folder, "confirm", *SMALL, "--heats", "2")
    assert "heats: 4 candidates with 2 seeds each, on the validation images" in said
    heats = children(folder, "heats")
    assert Counter(r.data.tags["finalist"] for r in heats) == dict.fromkeys(
        (r.data.tags["finalist"] for r in heats), 2
    )
    assert len(heats) == 8
    assert parent_names(folder, heats) == {"heats lr-schedules"}
    ran: dict[str, list[float]] = {}
    for r in sorted(heats, key=lambda r: int(r.data.tags["confirm_seed"])):
        ran.setdefault(r.data.tags["finalist"], []).append(r.data.metrics["val_accuracy"])
    best = {
        max((n for n in ran if n.startswith(family)), key=lambda n: sum(ran[n]))
        for family in ("constant", "cosine")
    }
    finalists = certificate(folder)["finalists"]
    assert {f["name"] for f in finalists} == best
    assert {f["name"]: f["heats"] for f in finalists} == {name: pytest.approx(ran[name]) for name in best}
    again = run(folder, "confirm", *SMALL, "--heats", "2")
    assert "in the heats" in again
    assert len(children(folder, "heats")) == 8
    run(folder, "confirm", "--check", "certificate.json")


@pytest.mark.slow
def test_a_verdict_is_reached(confirmed: tuple[Path, str]) -> None:
    """Finalists of both families, every run recorded; the certificate says what was done and to what."""
    folder, printed = confirmed
    data = certificate(folder)
    names = [finalist["name"] for finalist in data["finalists"]]
    assert {name.split(" #")[0] for name in names} == {"constant", "cosine"}
    assert {len(runs) for runs in data["values"].values()} == {2}
    assert all(0.0 < value < 1.0 for runs in data["values"].values() for value in runs)
    assert (data["plan"]["looks"], data["seeds"], data["examples"]["test"]) == ([2], [1, 2], 10_000)
    assert data["study"]["train_images"] == 5000
    assert sorted(data["data"]) == sorted(
        f"{part}-ubyte" for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    )  # fmt: skip
    for part in (*names, "ONLY 5,000 TRAINING IMAGES", "torch.optim.SGD", "wrote certificate.json"):
        assert part in printed
    runs = children(folder)
    assert sorted((r.data.tags["finalist"], r.data.tags["confirm_seed"]) for r in runs) == sorted(
        (name, seed) for name in names for seed in ("1", "2")
    )
    numbers = {finalist["name"]: str(finalist["asked"]["number"]) for finalist in data["finalists"]}
    assert all(r.data.tags["trial"] == numbers[r.data.tags["finalist"]] for r in runs)
    assert {r.data.tags["lanes"] for r in runs} == {"2"}
    assert parent_names(folder, runs) == {"confirm lr-schedules"}
    assert {r.info.status for r in runs} == {"FINISHED"}
    assert all({"lr", "train_loss"} <= r.data.metrics.keys() for r in runs)
    assert all("val_accuracy" not in r.data.metrics for r in runs)  # nothing is measured before the end


@pytest.mark.slow
def test_the_search_is_left_as_it_was(study: Path, confirmed: tuple[Path, str]) -> None:
    from study.store import optuna_storage as store

    assert store.load(f"sqlite:///{confirmed[0]}/optuna.db") == store.load(f"sqlite:///{study}/optuna.db")


@pytest.mark.slow
def test_a_certificate_is_checked(confirmed: tuple[Path, str], tmp_path: Path) -> None:
    """The verdict follows from its figures; with one figure or the winner changed it does not."""
    path = tmp_path / "certificate.json"
    genuine = certificate(confirmed[0])
    path.write_text(json.dumps(genuine), "utf-8")
    assert "the verdict follows from its figures" in run(tmp_path, "confirm", "--check", "certificate.json")

    tampered = json.loads(json.dumps(genuine))
    next(iter(tampered["values"].values()))[0] += 0.01
    path.write_text(json.dumps(tampered), "utf-8")
    said = run(tmp_path, "confirm", "--check", "certificate.json", code=1)
    assert "the verdict does NOT follow from its figures" in said
    assert [p.name for p in tmp_path.iterdir()] == ["certificate.json"]


@pytest.mark.slow
def test_a_tracking_database_that_is_gone_is_made_anew(confirmed: tuple[Path, str], tmp_path: Path) -> None:
    """The verdict is reached all the same, and kept with the study's page in a parent run of its own."""
    from mlflow import MlflowClient

    folder = Path(shutil.copytree(confirmed[0], tmp_path / "copy"))
    for path in folder.glob("mlflow.db*"):
        path.unlink()
    run(folder, "confirm", *SMALL)
    assert children(folder) == []  # nothing is trained again
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [e.experiment_id for e in client.search_experiments()]
    (parent,) = client.search_runs(experiments, "tags.kind = 'confirm'")
    assert parent.info.status == "FINISHED"
    kept = {a.path for a in client.list_artifacts(parent.info.run_id)}
    assert {"certificate.json", "winner.py", "report.html"} <= kept


@pytest.mark.slow
def test_the_same_again_trains_nothing_and_another_plan_is_refused(
    confirmed: tuple[Path, str], tmp_path: Path
) -> None:
    """The same certificate without training; a changed plan is refused in one line that names both."""
    folder = Path(shutil.copytree(confirmed[0], tmp_path / "copy"))
    first, before = certificate(folder), len(children(folder))
    run(folder, "confirm", *SMALL)
    assert {**certificate(folder), "created": ""} == {**first, "created": ""}
    assert len(children(folder)) == before
    said = run(folder, "confirm", *TINY, "--looks", "2,3", code=2)
    assert (
        "error: these runs were judged by looks 2, level 0.95, margin 0 points; judging them again by looks 2,3"
        in said
    )
    assert certificate(folder)["created"] >= first["created"]


@pytest.mark.slow
def test_a_budget_ends_before_a_look_and_the_same_command_goes_on(study: Path, tmp_path: Path) -> None:
    """No certificate before the first look; without the budget the plan goes on to an end, and rates are tried."""
    folder = Path(shutil.copytree(study, tmp_path / "copy"))
    said = run(folder, "confirm", *PLANNED, "--budget", "0.001s")
    assert "The time is up before the first look at 2 seeds; the same command goes on." in said
    assert not (folder / "certificate.json").exists()
    printed = run(folder, "confirm", *PLANNED, "--rates", "0.5,1", "--rate-seeds", "1")
    data = certificate(folder)
    looks = [look["seeds"] for look in data["verdict"]["looks"]]
    assert looks == [2, 3, 4][: len(looks)]
    assert data["verdict"]["outcome"] != "undecided" or looks == [2, 3, 4]
    assert set(data["rates"]["values"]) == {f["name"] for f in data["finalists"]}
    assert all(sentence in printed for sentence in data["rates"]["sentences"])
    assert "the verdict follows from its figures" in run(folder, "confirm", "--check", "certificate.json")
    run(folder, "report", "--certificate", "certificate.json", "--out", "report.html")
    assert data["verdict"]["sentences"][0] in (folder / "report.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_cut_off_and_continued(
    study: Path, confirmed: tuple[Path, str], tmp_path: Path, stop: signal.Signals
) -> None:
    """Stopped in the middle, the same command ends with the figures of a run that was never stopped."""
    folder = Path(shutil.copytree(study, tmp_path / "copy"))
    with started(words("study.confirm", *SMALL), folder) as process:
        give_up = time.monotonic() + PATIENCE
        while not list(folder.glob("runs/confirm/*/*/seed-0001.pt")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < give_up
            time.sleep(0.02)
        process.send_signal(stop)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == (-signal.SIGKILL if stop is signal.SIGKILL else 130), said
    assert not (folder / "certificate.json").exists()

    run(folder, "confirm", *SMALL)
    assert certificate(folder)["values"] == certificate(confirmed[0])["values"]
    assert certificate(folder)["verdict"] == certificate(confirmed[0])["verdict"]
    runs = children(folder)
    finished = [
        (r.data.tags["finalist"], r.data.tags["confirm_seed"]) for r in runs if r.info.status == "FINISHED"
    ]
    assert len(finished) == len(set(finished)) == 4
    assert {r.info.status for r in runs} <= {"FINISHED", "KILLED"}


def files_of(folder: Path) -> set[tuple[str, int]]:
    """What lies among a confirmation's files, and when it was written."""
    found = set()
    for path in (folder / "runs").rglob("*"):
        with suppress(FileNotFoundError):  # gone since it was listed
            found.add((path.name, path.stat().st_mtime_ns))
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_twenty_five_times_it_reaches_the_same_certificate(study: Path, tmp_path: Path) -> None:
    """SIGKILL at random moments: while it starts, trains, saves, scores and judges. The last run ends as one never killed.

    Moments are counted in changes of its files, not in seconds, so that a busy machine moves none of them.
    """
    long = (*TINY, "--looks", "2,4,8", "--level", "0.9999")
    whole = Path(shutil.copytree(study, tmp_path / "whole"))
    run(whole, "confirm", *long)
    folder = Path(shutil.copytree(study, tmp_path / "killed"))
    draw = random.Random(0)  # noqa: S311 - moments, no secrets
    within = 0
    for _ in range(KILLS):
        with started(words("study.confirm", *long), folder) as process:
            for _ in range(draw.randint(0, 3)):
                before = files_of(folder)
                while files_of(folder) == before and process.poll() is None:
                    time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.5))
            within += process.poll() is None
            process.kill()
            process.communicate()
    run(folder, "confirm", *long)
    assert within > KILLS // 2
    assert {**certificate(folder), "created": ""} == {**certificate(whole), "created": ""}
    assert {r.info.status for r in children(folder)} <= {"FINISHED", "KILLED"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--finalists", "1"), "--finalists: must be a whole number of 2 or more, got 1"),
        (("--seeds", "1"), "--seeds: must be a whole number of 2 or more, got 1"),
        (("--train-images", "0"), "--train-images: must be a whole number of 1 or more, got 0"),
        (("--level", "1"), "--level: must be"),
        (("--margin", "-0.1"), "--margin: must be"),
        (
            ("--looks", "5,5"),
            "--looks: must be rising whole numbers of 2 or more with commas between, got 5,5",
        ),
        (("--looks", "1"), "--looks: must be rising whole numbers of 2 or more"),
        (("--max-seeds", "1"), "--max-seeds: must be a whole number of 2 or more, got 1"),
        (("--budget", "60"), "--budget: must be a time with its unit such as 90s, 60m or 2h, got 60"),
        (("--rates", "0.5,2"), "--rates must hold 1, got 0.5,2"),
        (
            ("--out", "nowhere/certificate.json"),
            "--out 'nowhere/certificate.json': there is no folder 'nowhere'",
        ),
        (("--check", "missing.json"), "cannot read the certificate missing.json"),
        (("--storage", "nonsense"), "--storage "),
        ((), "holds no study yet: run python -m study.search first"),
    ],
)
def test_bad_input(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
) -> None:
    """One line, exit code 2, nothing created."""
    monkeypatch.chdir(tmp_path)
    assert message in refused(main, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_refusals_about_the_study(
    study: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(study, tmp_path / "copy"))
    monkeypatch.chdir(folder)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert "--baseline linear: study 'lr-schedules' has no finished trial of it" in refused(
        main, "--baseline", "linear"
    )
    assert "--study 'other' is not in" in refused(main, "--study", "other")
    assert "--train-images must be in 1..60000, got 60001" in refused(main, "--train-images", "60001")
    assert "--margin must be from 0 to half of the range of accuracy, got 60 points" in refused(
        main, "--margin", "60"
    )
    source = images._find(None, images.TRAIN, download=False)
    half = tmp_path / "half"
    half.mkdir()
    for file in source.glob("train-*"):
        (half / file.name).symlink_to(file.resolve())
    assert "t10k-images-idx3-ubyte[.gz] is not there" in refused(main, "--data-dir", str(half))
    assert {p: p.read_bytes() for p in before} == before
    assert not (folder / "runs").exists()  # refused before anything is trained
    added = {p.name for p in folder.rglob("*") if p.is_file()} - {p.name for p in before}
    assert all(name.endswith((".db-wal", ".db-shm")) for name in added)  # SQLite's, of a reader


@pytest.mark.parametrize(
    ("given", "looks"),
    [
        ({}, (5, 10, 20, 40)),
        ({"max_seeds": 20}, (5, 10, 20)),
        ({"max_seeds": 3}, (3,)),
        ({"max_seeds": 100}, (5, 10, 20, 40, 80, 100)),
        ({"looks": (3, 9)}, (3, 9)),
        ({"looks": (3, 9, 27), "max_seeds": 12}, (3, 9, 12)),
        ({"seeds": 7}, (7,)),
    ],
)
def test_looks_follow_from_the_options(given: dict[str, Any], looks: tuple[int, ...]) -> None:
    defaults = {p.name: p.default for p in main.params}
    assert ConfirmOptions(**{**defaults, **given}).planned == looks


def test_flags_are_a_decision() -> None:
    """Adding or removing an option is one: this list changes with it."""
    flags = """
        --study --problem --finalists --per-family --baseline --heats --looks --max-seeds --seeds --budget --train-images --level --margin
        --rates --rate-seeds --out --check --storage --tracking-uri --checkpoints --precision --device --data-dir
    """
    options = [p for p in main.params if isinstance(p, click.Option)]
    assert sorted(o for p in options for o in p.opts) == sorted(flags.split())

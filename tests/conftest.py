"""What holds for every test: no stray files, no strangers asked, the same draws each time."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from study.core.records import StudyConfig
from tests import making

# Before anything imports them: no telemetry, and no window for a figure.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MPLBACKEND"] = "agg"
# A developer's own tracking server must not receive what tests record.
os.environ.pop("MLFLOW_TRACKING_URI", None)
# Tests run in empty folders, where the study would not find what `make data` put into data/.
if not Path("/usr/share/datasets/fashion-mnist").is_dir():
    os.environ.setdefault("FASHION_MNIST_DIR", str(Path(__file__).resolve().parent.parent / "data"))

# Started in the background by a script, this process ignores Ctrl-C, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on each run: a red test is red for everybody. HYPOTHESIS_PROFILE=wide looks further.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("wide", max_examples=2000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def config_of() -> Callable[..., StudyConfig]:
    """Makes the settings of a study: see ``making``."""
    return making.config_of


@pytest.fixture(autouse=True, scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Run each test module in an empty folder, so that no test finds or leaves a database here."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)

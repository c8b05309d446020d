"""Learning-rate schedules as pure functions of time.

>>> from lrsched import Cosine, Warmup
>>> schedule = Warmup(Cosine(T_max=20, final=0.01), length=5)
>>> schedule(2.5)
0.4819...
"""

from lrsched.compose import Warmup
from lrsched.cyclic import CosineRestarts, Cyclic, OneCycle
from lrsched.decay import (
    Constant,
    Cosine,
    Exponential,
    Factor,
    Hold,
    InverseSquareRoot,
    Linear,
    MultiStep,
    Noam,
    Polynomial,
    SquareRoot,
    Step,
)
from lrsched.holding import WarmupStableDecay
from lrsched.parameter import Parameter, Search, parameter
from lrsched.plateau import Plateau, follow
from lrsched.schedule import REGISTRY, Schedule, from_json, schedule_class

__all__ = [
    "REGISTRY",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Cyclic",
    "Exponential",
    "Factor",
    "Hold",
    "InverseSquareRoot",
    "Linear",
    "MultiStep",
    "Noam",
    "OneCycle",
    "Parameter",
    "Plateau",
    "Polynomial",
    "Schedule",
    "Search",
    "SquareRoot",
    "Step",
    "Warmup",
    "WarmupStableDecay",
    "follow",
    "from_json",
    "parameter",
    "schedule_class",
]

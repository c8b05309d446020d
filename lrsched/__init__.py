"""Learning-rate schedules as pure functions of time.

>>> from lrsched import Cosine, Warmup
>>> schedule = Warmup(Cosine(T_max=20, final=0.01), length=5)
>>> schedule(2.5)
0.48116018429654345
>>> schedule(20)
0.01

``lrsched.optimizer`` drives a torch optimizer, ``lrsched.pytorch`` reads and writes torch's own
schedulers, ``lrsched.picture`` draws. Importing ``lrsched`` itself needs numpy alone.
"""

from lrsched.compose import Join, Mirror, Product, Warmup
from lrsched.curves import KDecay, Rex, Spline, Tanh
from lrsched.cyclic import CosineRestarts, Cyclic, OneCycle
from lrsched.decay import (
    Cosine,
    Exponential,
    InverseSquareRoot,
    Linear,
    Polynomial,
    PowerDecay,
    TriStage,
    WarmupStableDecay,
)
from lrsched.function import Function, Multiplicative
from lrsched.parameter import Parameter, Search, parameter
from lrsched.plateau import Plateau, follow
from lrsched.presets import FlatCosine, Hold, Knee, LinearToZero, Noam, SquareRoot
from lrsched.schedule import REGISTRY, Schedule, from_json, schedule_class
from lrsched.steps import ByHand, Constant, Factor, MultiStep, Step

__all__ = [
    "REGISTRY",
    "ByHand",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Cyclic",
    "Exponential",
    "Factor",
    "FlatCosine",
    "Function",
    "Hold",
    "InverseSquareRoot",
    "Join",
    "KDecay",
    "Knee",
    "Linear",
    "LinearToZero",
    "Mirror",
    "MultiStep",
    "Multiplicative",
    "Noam",
    "OneCycle",
    "Parameter",
    "Plateau",
    "Polynomial",
    "PowerDecay",
    "Product",
    "Rex",
    "Schedule",
    "Search",
    "Spline",
    "SquareRoot",
    "Step",
    "Tanh",
    "TriStage",
    "Warmup",
    "WarmupStableDecay",
    "follow",
    "from_json",
    "parameter",
    "schedule_class",
]

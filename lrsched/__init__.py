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
from lrsched.curves import ByHand, KDecay, LinearToZero, PowerDecay, Rex, Spline, Tanh
from lrsched.cyclic import CosineRestarts, Cyclic, OneCycle
from lrsched.decay import (
    Cosine,
    Exponential,
    Factor,
    InverseSquareRoot,
    Linear,
    Noam,
    Polynomial,
    SquareRoot,
)
from lrsched.holding import FlatCosine, Knee, TriStage, WarmupStableDecay
from lrsched.parameter import Parameter, Search, parameter
from lrsched.plateau import Plateau, follow
from lrsched.schedule import REGISTRY, Schedule, from_json, schedule_class
from lrsched.steps import Constant, Hold, MultiStep, Step
from lrsched.function import Function, Multiplicative

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

"""Classes of River's drift detectors, without the package around them.

`import river.drift` brings datasets, and with them SciPy: half a second and 60 MB for a service that needs a module.
"""

import sys
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import river

_HOME, _PACKAGE = Path(river.__file__).parent, "river.drift."


def river_class(module: str, name: str) -> Any:
    """Return a class of River's by the full name of its module."""
    return getattr(_alone(module) if module.startswith(_PACKAGE) else import_module(module), name)


@cache
def _alone(module: str) -> ModuleType:
    """Import a module as its package would, and leave no trace that would make the package another one later."""
    file = _HOME.joinpath(*module.split(".")[1:]).with_suffix(".py")
    spec = spec_from_file_location(module, file)
    if module in sys.modules or spec is None or spec.loader is None or not file.exists():
        return import_module(module)
    made = sys.modules[module] = module_from_spec(spec)
    try:
        spec.loader.exec_module(made)
    finally:
        del sys.modules[module]
    return made

"""Stands where the compiled extension belongs: compiles it if needed and puts it in this place.

A library that this machine's CPU cannot run is refused, before any of its code runs.
"""

import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

from mojo_impl.building.build import build, check_cpu

_library = build()
check_cpu(_library)
_path = str(_library.path)
_spec = spec_from_file_location(__name__, _path, loader=ExtensionFileLoader(__name__, _path))
assert _spec is not None
assert _spec.loader is not None
_extension = module_from_spec(_spec)
_spec.loader.exec_module(_extension)
# What an import gets is what stands here when this file has run.
sys.modules[__name__] = _extension

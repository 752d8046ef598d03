"""`python -m mojo_impl.building`: compiles a library or the program, if it is not there yet."""

import sys

from mojo_impl.building.build import main

sys.exit(main())

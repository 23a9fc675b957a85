"""`python -m deeplock`: the command, where its script is not on the PATH."""

import sys

from deeplock.cli.main import main

sys.exit(main())

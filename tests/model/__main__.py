"""`python -m tests.model [guard ...]`: what happens without these guards; without an argument, without each in turn."""

import sys

from tests.model.model import GUARDS, explore

for off in [sys.argv[1:]] if sys.argv[1:] else [[], *([guard] for guard in GUARDS)]:
    states, wrongs = explore(off)
    print(f"without {', '.join(off) or 'nothing'}: {states} states")
    for wrong, way in wrongs.items():
        print(f"    {wrong}: {' > '.join(way)}")

import sys

from config.stack.stack import main

sys.exit(main())

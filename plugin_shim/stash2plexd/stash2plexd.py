"""What Stash runs for a task, or when the page asks: says if this Python cannot do it.

Standard library only, Python 3.9 or newer; written so that an older one can read it.
"""

import json
import os
import sys


def main():
    if sys.version_info < (3, 9):
        error = (
            "Stash runs Python %d.%d, and this needs 3.9 or newer; see Settings >"
            " System > Python executable path" % tuple(sys.version_info[:2])
        )
        sys.stdout.write(json.dumps({"output": None, "error": error}))
        return
    sys.dont_write_bytecode = True
    # Stash runs us with -I, which hides the files beside us.
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import stash2plexd_daemon

    stash2plexd_daemon.main()


if __name__ == "__main__":
    main()

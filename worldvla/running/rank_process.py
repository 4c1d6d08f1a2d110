"""One of the several processes of a stage, as ``launching`` starts it: ``python -m worldvla.running.rank_process MODULE FLAGS``.

It ends with its launcher from its first moment on: what the stage imports takes seconds, on a busy machine more than ten.
"""

import runpy
import sys

from worldvla.running.ranks import end_with_launcher

if __name__ == "__main__":
    end_with_launcher()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

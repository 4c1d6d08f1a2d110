"""A full disk is the same error whichever library meets it."""

import contextlib
import os
import re
from collections.abc import Iterator


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Raise the OSError behind an error of a library that has its own for a file which it cannot write.

    safetensors and tokenizers say at the end of their message which one it was: "(os error 28)".
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error

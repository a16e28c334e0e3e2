"""What a process prints, in a file: its log, what libraries written in C say, and where it crashed."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def output_in(path: Path, append: bool = False) -> Iterator[Callable[[str], object]]:
    """In the block, all that this process prints goes to a file; so does a line given to what is yielded."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    with path.open("a" if append else "w", encoding="utf-8", buffering=1) as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        handler.setStream(file)
        logging.getLogger().addHandler(handler)
        ours = not faulthandler.is_enabled()
        if ours:
            faulthandler.enable(file)  # where it was when it crashed
        try:
            yield lambda text: file.write(f"{text}\n")
        except Exception:
            logging.exception("failed")
            raise
        finally:
            if ours:
                faulthandler.disable()
            logging.getLogger().removeHandler(handler)
            sys.stdout.flush()
            sys.stderr.flush()
            for number, saved in zip((1, 2), kept, strict=True):
                os.dup2(saved, number)
                os.close(saved)

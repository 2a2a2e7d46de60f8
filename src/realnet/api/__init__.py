"""RealNet in Python: what the commands do, by the same names and with the same defaults.

Every function raises :class:`realnet.errors.UserError` where the command would end with a sentence. ``progress``
shows bars, and the sentences that the command prints; False shows nothing, a :class:`realnet.progress.Watcher` of one's
own is told instead. Nothing heavy is imported before a function is called.
"""

from realnet.api.making import export, synthesize, teach, train
from realnet.api.using import calibrate, evaluate, inspect

__all__ = ["calibrate", "evaluate", "export", "inspect", "synthesize", "teach", "train"]

"""The command line: parses arguments, calls one library function, prints.

Results go to standard output, progress and messages to standard error. Exit status: 0 success,
1 the work failed, 2 wrong usage. torch is imported only by the commands that need it.
"""

from xl2torch.cli import (
    export,
    gradcheck,
    inspect,
    plot,
    predict,
    replay,
    restore,
    samples,
    setup,
    train,
    verify,
)
from xl2torch.cli.group import main
from xl2torch.cli.printing import know_flags

main.add_command(samples.samples)
main.add_command(setup.setup)
main.add_command(inspect.inspect)
main.add_command(verify.verify)
main.add_command(gradcheck.gradcheck)
main.add_command(train.train)
main.add_command(plot.plot)
main.add_command(replay.replay)
main.add_command(restore.restore)
main.add_command(export.export)
main.add_command(predict.predict)
know_flags(main)

__all__ = ["main"]

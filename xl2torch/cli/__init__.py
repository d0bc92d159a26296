"""The command line: parses arguments, calls one library function, prints.

Results go to standard output, progress and messages to standard error. Exit status: 0 success,
1 the work failed, 2 wrong usage. torch is imported only by the commands that need it.
"""

from xl2torch.cli.gradcheck import gradcheck
from xl2torch.cli.group import main
from xl2torch.cli.inspect import inspect
from xl2torch.cli.train import train
from xl2torch.cli.verify import verify

for command in (inspect, verify, gradcheck, train):
    main.add_command(command)

__all__ = ["main"]

"""``python -m xl2torch``."""

from xl2torch.cli import main

if __name__ == "__main__":
    main(prog_name="xl2torch")

"""What each Excel function means, batched over a region. Importing this registers them all."""

from xl2torch.functions import (  # noqa: F401
    information,
    logical,
    lookup,
    mathematical,
    matrix,
    operators,
    statistical,
)

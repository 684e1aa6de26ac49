"""Write pictures, completely or not at all."""

from __future__ import annotations

import io
import os
from typing import Any

from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from .atomic import atomic_path

SOFTWARE, NAME = "Software", "napari-cellseg"


def write_picture(path: str | os.PathLike[str], picture: PillowImage.Image, form: str, **options: Any) -> None:
    """Encode a picture and write it; a PNG names this package as its writer.

    Parameters
    ----------
    path : path-like
    picture : PIL.Image.Image
    form : {'PNG', 'JPEG'}
    **options
        As `PIL.Image.Image.save` takes them.

    Raises
    ------
    OutputError
        The system refused to write.
    """
    # Pillow takes no notice of a disk that is full: half a picture would pass for a whole one.
    info = PngInfo()
    info.add_text(SOFTWARE, NAME)
    with io.BytesIO() as buffer:
        picture.save(buffer, form, pnginfo=info, **options)
        content = buffer.getvalue()
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)

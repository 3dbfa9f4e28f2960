"""The weights that the package ships, and where they lie."""

from pathlib import Path

FOLDER = Path(__file__).parent


def shipped_weights(size: str = "tiny") -> Path:
    """Path of the shipped weights of a network size.

    Raises:
        FileNotFoundError: If none are shipped for that size; the message says what to do.
    """
    path = FOLDER / f"{size}.safetensors"
    if not path.is_file():
        shipped = sorted(p.stem for p in FOLDER.glob("*.safetensors"))
        raise FileNotFoundError(
            f"no weights of size {size!r} are shipped (there are {shipped}); name a weights file"
        )
    return path

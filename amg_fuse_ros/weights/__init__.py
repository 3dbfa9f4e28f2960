"""The weights that the package ships, where they lie, and which are taken when none are named."""

from pathlib import Path

FOLDER = Path(__file__).parent


def shipped_weights(size: str) -> Path:
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


def automatic_size(device: str = "auto") -> str:
    """``"tiny"`` where a GPU computes, elsewhere ``"nano"``, which keeps up with cameras on a CPU.

    Args:
        device: Where the network shall run: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    """
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return "tiny" if device.startswith("cuda") else "nano"


def find_weights(weights: str | Path | None = "", size: str = "auto", device: str = "auto") -> Path:
    """The weights file that options and parameters name.

    Args:
        weights: A file; with ``None`` or ``""`` the shipped one of ``size``.
        size: Of the network; ``"auto"``: see :func:`automatic_size`.
        device: Where the network shall run.

    Raises:
        FileNotFoundError: If no weights are shipped for the size. A file that was named is not
            looked for.
    """
    if weights:
        return Path(weights)
    return shipped_weights(automatic_size(device) if size == "auto" else size)

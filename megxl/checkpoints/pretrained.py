"""What a module needs to be saved, published, and to say where its weights come from."""

from pathlib import Path
from typing import Any

from megxl.checkpoints.checkpoint import Checkpoint
from megxl.checkpoints.folder import write_checkpoint
from megxl.checkpoints.publishing import licensed, push


class Pretrained:
    """Mixin of codec and model; they say how they become a checkpoint.

    Attributes
    ----------
    provenance : dict
        Where the weights come from; `{"weights": "random"}` until they are loaded.
    recipe : dict
        What a released file says of its training, kept for the way back.
    """

    provenance: dict[str, Any]
    recipe: dict[str, Any]

    def to_checkpoint(self) -> Checkpoint:
        """Sizes, tensors and provenance, ready to be written in either format."""
        raise AssertionError("a module says how it becomes a checkpoint")

    def save_pretrained(self, folder: str | Path, *, licence: str | None = None) -> Path:
        """Write safetensors, config.json and a model card, as `push_to_hub` would upload them.

        Parameters
        ----------
        folder : str or Path
            Made if it is not there; a checkpoint of ours is replaced. A folder with anything else in it is refused.
        licence : str, optional
            Of the weights, by the hub's identifier (``cc-by-nc-4.0``); None: as they were loaded with, or unknown.
        """
        return write_checkpoint(Path(folder), licensed(self.to_checkpoint(), licence), overwrite=True)

    def push_to_hub(self, repo_id: str, *, private: bool = True, licence: str | None = None) -> str:
        """Upload weights, sizes and a model card to the hub.

        Parameters
        ----------
        repo_id : str
            ``org/name``; made if it is not there.
        private : bool
            Of a new repository.
        licence : str, optional
            As for `save_pretrained`.

        Returns
        -------
        str
            Address of the repository.

        Raises
        ------
        InputError
            No name of the hub, nobody logged in, no network, no right to write there.
        """
        return push(licensed(self.to_checkpoint(), licence), repo_id, private=private)

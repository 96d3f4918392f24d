"""What a module needs to be saved, published, and to say where its weights come from."""

from pathlib import Path
from typing import Any

from megxl.checkpoints.checkpoint import Checkpoint
from megxl.checkpoints.folder import write_checkpoint
from megxl.checkpoints.hub import push


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

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write safetensors, config.json and a model card.

        Parameters
        ----------
        folder : str or Path
            Made if it is not there; a checkpoint of ours is replaced. A folder with anything else in it is refused.
        """
        return write_checkpoint(Path(folder), self.to_checkpoint(), overwrite=True)

    def push_to_hub(self, repo_id: str, *, private: bool = True) -> str:
        """Upload to `org/name` on the hub, which is made if it is not there; returns its address."""
        return push(self.to_checkpoint(), repo_id, private=private)

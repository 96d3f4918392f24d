"""The model under its published name (alias of `megxl.MEGXL`, as published: padded sensors attend)."""

from typing import Any

import torch
from torch import Tensor

from brainstorm._released import Released
from brainstorm.neuro_tokenizers.biocodec.model import BioCodecModel
from megxl.checkpoints.measuring import HYPER_PARAMETERS, TRAINING_PARAMETERS
from megxl.errors import InputError
from megxl.model.embedding import SensorTensors
from megxl.model.masking import draw_mask, plan_mask
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig


class CrissCrossTransformerModule(Released):
    """The model, built from the released hyper-parameters; its state has the released key names."""

    module: MEGXL

    def __init__(self, tokenizer: BioCodecModel, **hyper_parameters: Any) -> None:
        if not isinstance(tokenizer, BioCodecModel):
            raise InputError(
                f"The tokenizer is a {type(tokenizer).__module__}.{type(tokenizer).__name__}, "
                "not the BioCodecModel of this checkout. "
                "If the published code was copied into this checkout, remove it; megxl brings its own."
            )
        unknown = set(hyper_parameters) - set(HYPER_PARAMETERS) - set(TRAINING_PARAMETERS)
        if unknown:
            known = ", ".join((*HYPER_PARAMETERS, *TRAINING_PARAMETERS))
            raise InputError(f"Unknown hyper-parameters: {', '.join(sorted(unknown))}. Known ones are {known}.")
        codec = tokenizer.module
        sizes = {ours: hyper_parameters[name] for name, ours in HYPER_PARAMETERS.items() if name in hyper_parameters}
        read_from_codec = ("levels", "code_width", "samples_per_token")
        config = MEGXLConfig(**sizes, **{name: getattr(codec.config, name) for name in read_from_codec})
        super().__init__(MEGXL(config, codec, compat="reference"))
        self.module.recipe = {name: hyper_parameters[name] for name in TRAINING_PARAMETERS if name in hyper_parameters}

    def forward(
        self,
        meg: Tensor,
        sensor_xyz: Tensor,
        sensor_abc: Tensor,
        sensor_types: Tensor,
        sensor_mask: Tensor | None = None,
        apply_mask: bool = True,
    ) -> dict[str, Tensor]:
        """Features, logits and codes of a signal; with `apply_mask`, of one with hidden tokens.

        Parameters
        ----------
        meg : Tensor, shape (B, C, T)
            Block-scaled signal.
        sensor_xyz, sensor_abc : Tensor, shape (B, C, 3)
            Normalised positions; orientations.
        sensor_types : Tensor, shape (B, C)
            0 gradiometer, 1 magnetometer.
        sensor_mask : Tensor, shape (B, C), optional
            1 for real sensors; as published it limits what is hidden, not what attends.
        apply_mask : bool
            Hide blocks, drawn from torch's global generator.

        Returns
        -------
        dict
            `features` (B, C, T', D), `logits` (B, C, T', Q, V), `codes` (B, C, T', Q); when hidden also `mask`
            (B, C, T') and `mask_ratio`.
        """
        codes_BCTQ = self.module.codes(meg)
        mask_BCT = self._draw(codes_BCTQ, sensor_mask) if apply_mask else None
        sensors = SensorTensors(sensor_xyz, sensor_abc, sensor_types)
        features_BCTD = self.module(codes_BCTQ, sensors, sensor_mask, mask=mask_BCT)
        output = {
            "features": features_BCTD,
            "logits": self.module.logits(features_BCTD),
            "codes": codes_BCTQ.long(),
        }
        if mask_BCT is not None:
            output |= {"mask": mask_BCT, "mask_ratio": mask_BCT.float().mean()}
        return output

    def _draw(self, codes_BCTQ: Tensor, sensor_mask: Tensor | None) -> Tensor:
        batch, sensors, tokens, _ = codes_BCTQ.shape
        seeds = torch.randint(2**62, (batch,)).tolist()
        plan = plan_mask(tokens, self.module.config)
        mask_BT = draw_mask(plan, [torch.Generator().manual_seed(seed) for seed in seeds]).to(codes_BCTQ.device)
        mask_BCT = mask_BT[:, None].expand(batch, sensors, tokens)
        return mask_BCT if sensor_mask is None else mask_BCT & sensor_mask.bool()[..., None]

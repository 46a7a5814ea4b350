"""The whole model: vision tower, compressor, projector and any causal language model of transformers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils import logging

from oryx.errors import InputError, MissingResource
from oryx.grids import Grid, cumulative_lengths, token_count
from oryx.layout import FEATURES, IGNORED_LABEL, VISUAL_INPUTS, Plan, plan_batch, read_spec
from oryx.model.attention import Segments, allow_packing, can_pack
from oryx.model.compressor import Projector, compress_maps
from oryx.model.config import OryxConfig
from oryx.model.connectors import build_compressor
from oryx.model.rotary import without_memory
from oryx.model.vit import OryxViT
from oryx.remote_code import IS_REMOTE, add_code

logger = logging.get_logger(__name__)


@dataclass
class Expanded:
    """A batch ready for the language model: visuals in place of their marks, padded to one length L.

    Attributes:
        inputs_embeds: (B, L, width), zeros on padding.
        attention_mask: (B, L), 1 on real tokens.
        position_ids: (B, L), counted from 0 at each sample's first real token; 0 on padding.
        labels: (B, L), -100 on visual tokens and padding.
    """

    inputs_embeds: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    labels: Tensor


class OryxForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """Oryx. Its language model is whatever ``config.text_config`` names.

    Visual inputs, the same for :meth:`forward`, :meth:`generate`, :meth:`expand`:

    - ``pixel_patches`` (N, 3 * patch * patch): the patches of all maps (views, frames) of the batch, packed;
      or ``vision_features`` (N, C): the tower's output for them, computed before (a frozen tower's, say);
      or ``compressed_features`` (N', C): the compressor's output, computed before (a long video's, say);
    - ``image_grids`` (M, 2): the (h, w) of every map, as compressed if ``compressed_features`` are given;
    - ``visual_spec`` (V, 3): [layout, number of maps, region side] of every visual, see
      :class:`oryx.layout.Layout`.

    ``input_ids`` hold ``config.visual_token_id`` once per visual, in order over the whole batch (none for a text
    sample's dummy).
    """

    config_class = OryxConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    input_modalities = ("image", "video", "text")
    supports_gradient_checkpointing = True
    _no_split_modules = ("Block",)
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True

    def __init__(self, config: OryxConfig):
        super().__init__(config)
        self.vision_tower = OryxViT(config.vision_config)
        self.compressor = build_compressor(config)
        self.projector = Projector(config)
        self.language_model = without_memory(AutoModelForCausalLM.from_config(config.text_config))
        allow_packing(self.language_model)
        self.processor = None
        self.post_init()
        self.freeze_vision(config.freeze_vision)

    @classmethod
    def from_pretrained(cls, *args, **kwargs):
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.freeze_vision(model.config.freeze_vision)  # loading replaces the parameters that __init__ froze
        return loaded

    def save_pretrained(self, save_directory, *args, with_code: bool = IS_REMOTE, **kwargs):
        """As transformers' own; ``with_code``: with what loads it where this package is not installed.

        That is :func:`oryx.remote_code.add_code`; off by default, because who loads code must trust it, and because
        checkpoints of a training need none.
        """
        vars(self.config).pop("auto_map", None)
        super().save_pretrained(save_directory, *args, **kwargs)
        if with_code and kwargs.get("is_main_process", True):
            add_code(save_directory)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        if module is self.compressor or module is self.projector:
            # As the public code: torch's own initialisation for linear layers, N(0, 1) / sqrt(width) for the vectors.
            for layer in module.modules():
                if layer is not module and hasattr(layer, "reset_parameters"):
                    layer.reset_parameters()
            for vector in module.vectors() if isinstance(module, Projector) else ():
                init.normal_(vector, mean=0.0, std=vector.numel() ** -0.5)
        elif not any(module is part for part in (*self.compressor.modules(), *self.projector.modules())):
            super()._init_weights(module)

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, value: nn.Module):
        self.language_model.set_output_embeddings(value)

    def freeze_vision(self, frozen: bool = True):
        """Switch gradients of the vision tower off or on (the public code cannot train its tower)."""
        self.config.freeze_vision = frozen
        for parameter in self.vision_tower.parameters():
            if parameter.is_floating_point():  # quantised ones have no gradients
                parameter.requires_grad_(not frozen)

    def encode_visuals(
        self,
        image_grids: Tensor | Sequence[Grid] | None = None,
        visual_spec: Tensor | Sequence[Sequence[int]] | None = None,
        **given: Tensor | None,
    ) -> list[Tensor]:
        """The token sequence (L, width) of every visual; of length 0 for a text sample's dummy.

        ``given``: one of the three kinds of features, see :class:`OryxForConditionalGeneration`.

        Raises:
            InputError: not exactly one of patches and features, or maps that do not fit ``visual_spec``.
        """
        if image_grids is None or visual_spec is None:
            raise InputError("visual_spec and image_grids belong together: expected both, got one")
        grids = [tuple(grid) for grid in torch.as_tensor(image_grids).tolist()]
        visuals = read_spec(torch.as_tensor(visual_spec).tolist())
        layouts = [(visual.layout, visual.maps) for visual in visuals]
        if (named := sum(maps for _, maps in layouts)) != len(grids):
            raise InputError(f"visual_spec names {named} maps, image_grids has {len(grids)}")
        given = {name: features for name, features in given.items() if features is not None}
        if len(given) != 1:
            raise InputError(f"expected one of {', '.join(FEATURES)} for the visuals, got {len(given)}")
        ((name, features),) = given.items()
        if name != "pixel_patches" and len(features) != token_count(grids):
            raise InputError(f"{name}: {len(features)} tokens do not fit image_grids, which have {token_count(grids)}")
        if name == "pixel_patches":
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.freeze_vision):
                features = self.vision_tower(features, grids).tokens
        features = features.to(self.projector.image_newline.dtype)
        if name != "compressed_features":
            sides = [visual.side for visual in visuals for _ in range(visual.maps)]
            features, grids = compress_maps(self.compressor, features, grids, sides)
        return self.projector(features, grids, layouts)

    @torch.compiler.disable  # numpy on numbers that change with every batch: the tower and the decoder are compiled
    def expand(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        padding_side: str | None = None,
        **visual: Tensor | None,
    ) -> Expanded:
        """Embed the text and put every visual's tokens in its place; see :func:`oryx.layout.plan_batch`.

        Args:
            input_ids, attention_mask, labels: (B, L0).
            padding_side: "right" or "left"; ``config.tokenizer_padding_side`` by default.
            visual: the visual inputs, see :class:`OryxForConditionalGeneration`.
        """
        table, plan = self._sources(input_ids, attention_mask, labels, visual)
        side, device = padding_side or self.config.tokenizer_padding_side, input_ids.device

        def padded(samples: list[np.ndarray], value: int) -> Tensor:
            return pad_sequence([torch.from_numpy(one) for one in samples], True, value, side).to(device)

        index = padded(plan.rows, plan.zero_row)
        mask = (index != plan.zero_row).long()
        return Expanded(
            inputs_embeds=table.index_select(0, index.flatten()).view(*index.shape, -1),
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0) * mask,
            labels=padded(plan.labels, IGNORED_LABEL),
        )

    @torch.compiler.disable
    def _sources(
        self, input_ids: Tensor, attention_mask: Tensor | None, labels: Tensor | None, visual: dict[str, Tensor | None]
    ) -> tuple[Tensor, Plan]:
        """All embedded text, all visual tokens and a zero row, (rows, width), and the plan of which goes where."""
        spec = visual.get("visual_spec")
        encoded = [] if spec is None or not len(spec) else self.encode_visuals(**visual)
        plan = plan_batch(
            *(None if one is None else one.cpu().numpy() for one in (input_ids, attention_mask, labels)),
            [len(sequence) for sequence in encoded if len(sequence)],
            visual_token_id=self.config.visual_token_id,
            max_length=self.config.tokenizer_model_max_length,
        )
        if plan.truncated:
            logger.warning_once(
                f"{plan.truncated} sample(s) were cut to tokenizer_model_max_length "
                f"{self.config.tokenizer_model_max_length} after their visuals were expanded: the end is lost"
            )
        text = self.get_input_embeddings()(torch.as_tensor(plan.text_ids, device=input_ids.device))
        # A dummy has length 0: it takes no place, but its parameters stay in the graph (every rank then has the same).
        return torch.cat([text, *(out.to(text.dtype) for out in encoded), text.new_zeros(1, text.shape[1])]), plan

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values=None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        pixel_patches: Tensor | None = None,
        image_grids: Tensor | None = None,
        visual_spec: Tensor | None = None,
        vision_features: Tensor | None = None,
        compressed_features: Tensor | None = None,
        num_items_in_batch: int | Tensor | None = None,
        loss_only: bool = False,
        **kwargs,
    ) -> CausalLMOutputWithPast:
        """Logits (B, L, vocabulary) of the expanded sequences; with labels also the loss.

        The loss is the mean cross-entropy (float32) over all supervised next tokens of the whole batch, as in the
        public code, and 0 if a batch has none. With ``num_items_in_batch`` the sum is divided by that number instead
        (gradient accumulation).

        ``loss_only``: for training. ``logits`` are then those of the supervised next tokens alone, (number of them,
        vocabulary), in the order of the batch; and where nothing but loss and logits is asked for and
        :func:`oryx.model.attention.can_pack`, the batch is read without its padding, with the same result.
        """
        given = (pixel_patches, vision_features, compressed_features, image_grids, visual_spec)
        visual = dict(zip(VISUAL_INPUTS, given, strict=True))
        kwargs = {name: value for name, value in kwargs.items() if value is not None}  # PEFT passes several of None
        others = (inputs_embeds, position_ids, past_key_values, use_cache or None, kwargs or None)
        plain = labels is not None and all(one is None for one in others)
        if loss_only and plain and can_pack(self.language_model):
            return self._packed_loss(*self._sources(input_ids, attention_mask, labels, visual), num_items_in_batch)
        if inputs_embeds is None and self._needs_expansion(input_ids, past_key_values, visual_spec):
            expanded = self.expand(input_ids, attention_mask, labels, **visual)
            input_ids, inputs_embeds = None, expanded.inputs_embeds
            attention_mask, position_ids = expanded.attention_mask, expanded.position_ids
            labels = None if labels is None else expanded.labels
        elif position_ids is None and past_key_values is None and attention_mask is not None:
            position_ids = (attention_mask.long().cumsum(1) - 1).clamp(min=0)
        if labels is not None:
            supervised, use_cache = labels[:, 1:] >= 0, bool(use_cache)
            # columns where any sample is supervised are computed; of these each sample keeps its own
            logits_to_keep = supervised.any(0).nonzero()[:, 0] if loss_only else 0
        elif use_cache is False:  # so TRL's trainers ask: they compute the loss themselves, from the last states
            kwargs = {"output_hidden_states": True, **kwargs}
        out = self.language_model(
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )
        if out.hidden_states is not None:
            out["last_hidden_state"] = out.hidden_states[-1]
        if labels is not None:
            read = out.logits[supervised[:, logits_to_keep]] if loss_only else out.logits[:, :-1][supervised]
            out.loss = _mean_loss(read, labels[:, 1:][supervised], num_items_in_batch)
            out.logits = read if loss_only else out.logits
        return out

    def _packed_loss(self, table: Tensor, plan: Plan, num_items_in_batch: int | Tensor | None):
        """Loss and supervised logits of a batch without padding; ``table`` and ``plan`` as of :meth:`_sources`."""
        device, lengths = table.device, [len(row) for row in plan.rows if len(row)]
        following = np.concatenate([np.append(own[1:], IGNORED_LABEL) for own in plan.labels if len(own)])
        read = np.flatnonzero(following >= 0)
        embeds = table.index_select(0, torch.as_tensor(np.concatenate(plan.rows), device=device))
        positions = torch.cat([torch.arange(length, device=device) for length in lengths])
        logits = self.language_model(
            inputs_embeds=embeds[None],
            # A mask of four dimensions is taken for a finished one; the attention of packed batches does not read it.
            attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device),
            position_ids=positions[None],
            use_cache=False,
            logits_to_keep=torch.as_tensor(read, device=device),
            segments=Segments(cumulative_lengths(lengths)),
        ).logits[0]
        loss = _mean_loss(logits, torch.as_tensor(following[read], device=device), num_items_in_batch)
        return CausalLMOutputWithPast(loss=loss, logits=logits)

    @torch.compiler.disable
    def _needs_expansion(self, input_ids: Tensor, past_key_values, visual_spec) -> bool:
        if visual_spec is not None and len(visual_spec):
            return True
        limit = self.config.tokenizer_model_max_length
        too_long = limit is not None and past_key_values is None and input_ids.shape[1] > limit
        return too_long or bool((input_ids == self.config.visual_token_id).any())

    def prepare_inputs_for_generation(self, input_ids, inputs_embeds=None, is_first_iteration=False, **kwargs):
        if inputs_embeds is not None and not is_first_iteration and kwargs.get("use_cache") is False:
            # without a cache every step reads the whole sequence again: the prompt's embeddings and the new tokens
            inputs_embeds = torch.cat([inputs_embeds, self.get_input_embeddings()(input_ids)], dim=1)
            is_first_iteration = True
        kwargs |= {"inputs_embeds": inputs_embeds, "is_first_iteration": is_first_iteration}
        return super().prepare_inputs_for_generation(input_ids, **kwargs)

    @torch.no_grad()
    def generate(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs):
        """The prompts' ids and the new tokens, (B, L0 + new), as transformers' decoders give them.

        So ``out[:, input_ids.shape[1]:]`` is what is new; a visual stands as its one mark. Keyword arguments: the
        visual inputs, and those of transformers' ``generate``; with ``num_return_sequences`` n there are n rows a
        prompt, with ``return_dict_in_generate`` the ids are in ``sequences``.

        The prompt enters as embeddings, as in the public code: a repetition penalty, other processors of logits and
        criteria for stopping see generated tokens only. Samples of different lengths are padded on the left, whatever
        ``config.tokenizer_padding_side`` says.
        """
        visual = {name: kwargs.pop(name) for name in VISUAL_INPUTS if name in kwargs}
        expanded = self.expand(input_ids, attention_mask, padding_side="left", **visual)
        out = super().generate(inputs_embeds=expanded.inputs_embeds, attention_mask=expanded.attention_mask, **kwargs)
        new = out if isinstance(out, Tensor) else out.sequences
        prompts = input_ids.repeat_interleave(len(new) // len(input_ids), 0)
        sequences = torch.cat([prompts.to(new.device), new], 1)
        if isinstance(out, Tensor):
            return sequences
        out.sequences = sequences
        return out

    def ask(self, visual, question: str, **options):
        """Ask about an image, ``Images``, ``Views`` or a ``Video``; see :func:`oryx.processing.processor.ask`."""
        if self.processor is None:
            raise MissingResource("this model has no processor: load it with oryx.load, or set model.processor")
        from oryx.processing.processor import ask

        return ask(self, self.processor, visual, question, **options)


def _mean_loss(logits: Tensor, targets: Tensor, num_items_in_batch: int | Tensor | None) -> Tensor:
    total = F.cross_entropy(logits.float(), targets, reduction="sum", ignore_index=IGNORED_LABEL)
    count = targets.numel() if num_items_in_batch is None else num_items_in_batch
    return total / max(count, 1) if isinstance(count, int) else total / count.clamp(min=1)

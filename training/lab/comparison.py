"""Set up two layers that compare what was written with what the language model expected in its place.

A step goes wrong where a digit comes that the language model did not expect. Layers that start at random, or
as identity, do not find that comparison within these few steps of training, so it is written down here: the
first layer looks one token back and measures by how much something else was likelier; the second looks for
the largest such doubt so far. What a doubt means for the value of a step is learned, in
`training.lab.rewards`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from difficulty.errors import InvalidInputError, require

__all__ = ["LOOK_BACK", "N_EXTRA", "set_up_comparison", "widen"]

N_EXTRA = 40
"""Places beside the language model's hidden state, in which the comparison is worked out."""

LOOK_BACK = (0.35, 0.04, 0.04, 0.04, 0.04, 0.02, 0, 0, 0, 0, 0, 0, 0, 0, 0, -0.41)
"""Weights of the rotary frequencies: their cosines add up to 0.12 one token back, else to at most 0."""

_THRESHOLDS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the largest doubt, in logits
_MARK = 0.1  # size of a token's mark: as large as an embedding's places, so that it disturbs none
_DOUBT = 0.5  # a logit of doubt, beside a hidden state of 8 to 28 per place


def widen(backbone: Any, narrow: Any) -> None:
    """Copy a backbone into a wider one, whose new places the copied layers neither read nor write.

    Parameters
    ----------
    backbone : LlamaModel
        Wider backbone, with as many layers as `narrow` or more; written in place.
    narrow : LlamaModel
        Backbone to copy.
    """
    torch = require("torch", extra="local")
    share = narrow.config.hidden_size / backbone.config.hidden_size
    target = backbone.state_dict()
    with torch.no_grad():
        for name, weight in narrow.state_dict().items():
            place = target[name]
            if name.endswith("norm.weight"):
                # the root mean square is taken over more places, of which the new ones are all but empty
                place.fill_(1.0)
                place[: len(weight)] = weight * math.sqrt(share)
            else:
                place.zero_()
                place[tuple(slice(0, size) for size in weight.shape)] = weight


def set_up_comparison(
    backbone: Any, narrow: Any, *, written: Sequence[int], expected: Sequence[int], opener: int, size: float
) -> int:
    """Write the comparison into the two layers above the copied ones; return where its finding stands.

    Parameters
    ----------
    backbone : LlamaModel
        Backbone after `widen`, at least two layers deeper than `narrow`.
    narrow : LlamaForCausalLM
        The language model.
    written, expected : sequence of int, of lengths W and E
        Tokens that are judged, and those that each is compared with: `written`, in this order, then more.
    opener : int
        Token that opens the answer; nothing is judged before it.
    size : float
        Root mean square of the hidden state after the copied layers, above 0.

    Notes
    -----
    With l the language model's logits in the place before token t, the doubt about t is about the sum over e
    of max(l_e - l_t, 0): 0 where t was the likeliest, and for tokens that are not judged. The finding is the
    largest doubt so far on a scale of doublings, 0 to 5.

    Raises
    ------
    InvalidInputError
        When the tokens do not fit the places or the units of a layer.
    """
    torch = require("torch", extra="local")
    width, head = narrow.config.hidden_size, backbone.config.head_dim
    n_written, n_expected = len(written), len(expected)
    marks = [*range(width, width + n_written)]  # the token is written[i]
    other, opens, opened, doubt, worst, worse, level = range(width + n_written, width + n_written + 7)
    logits = [*range(level + 1, level + 1 + n_expected)]
    pairs = [(w, e) for w in range(n_written) for e in range(n_expected) if w != e]
    if logits[-1] >= backbone.config.hidden_size or len(pairs) > backbone.config.intermediate_size:
        raise InvalidInputError(f"{n_written} judged and {n_expected} expected tokens do not fit the layers")
    constant = [*marks, opens, other]  # exactly one of them is set
    share = math.sqrt(width / backbone.config.hidden_size)
    size *= share
    first, second = backbone.layers[narrow.config.num_hidden_layers :][:2]
    low = head // 2 - 1  # the slowest rotary frequency: all but blind to distance
    with torch.no_grad():
        table = backbone.embed_tokens.weight
        table[:, other] = _MARK
        for place, token in zip((*marks, opens), (*written, opener), strict=True):
            table[token, other], table[token, place] = 0.0, _MARK
        for layer in (first, second):
            for module in (layer.self_attn, layer.mlp):
                for weight in module.parameters():
                    weight.zero_()
        norms = [
            getattr(layer, f"{name}_layernorm")
            for layer in (first, second)
            for name in ("input", "post_attention")
        ]
        for norm in norms:
            norm.weight.fill_(1.0)
            norm.weight[[*constant, opened]] = size / _MARK
            norm.weight[[doubt, worst, worse]] = size / _DOUBT
            norm.weight[[*logits, level]] = size
        query, key, value, output = _matrices(first)
        # head 0: the logits one token back
        strength = torch.tensor(LOOK_BACK) * 160 * math.sqrt(head)
        angle = 10_000.0 ** (-torch.arange(head // 2) / (head // 2))
        query[: head // 2, constant] = (strength * angle.cos())[:, None].expand(-1, len(constant))
        query[head // 2 : head, constant] = -(strength * angle.sin())[:, None].expand(-1, len(constant))
        key[: head // 2, constant] = 1.0
        known = narrow.lm_head.weight[list(expected)] * narrow.model.norm.weight
        value[:n_expected, :width] = (known - known.mean(dim=0)) * share
        output[logits, torch.arange(n_expected)] = 1.0
        # head 1: has the answer begun?
        query[head + low, constant] = 20 * math.sqrt(head)
        key[head + low, opens] = 1.0
        value[head, opens] = 1.0
        output[opened, head] = _MARK
        # doubt: one unit for each pair of what was written and what was expected
        gate, up, down = (getattr(first.mlp, f"{name}_proj").weight for name in ("gate", "up", "down"))
        for unit, (w, e) in enumerate(pairs):
            gate[unit, [logits[e], logits[w]]] = torch.tensor([4.0, -4.0])
            gate[unit, [place for place in constant if place != marks[w]]] = -250.0
            up[unit, opened] = 1.0
            down[doubt, unit] = _DOUBT / 4
        # the largest doubt so far, by two heads: the second all but ignores the others
        query, key, value, output = _matrices(second)
        for index, (place, sharpness) in enumerate(((worse, 1.5), (worst, 12.0))):
            query[index * head + low, constant] = sharpness * math.sqrt(head)
            key[index * head + low, doubt] = 1.0
            value[index * head, doubt] = 1.0
            output[place, index * head] = _DOUBT
        gate, up, down = (getattr(second.mlp, f"{name}_proj").weight for name in ("gate", "up", "down"))
        edges = [(t, edge, sign) for t in _THRESHOLDS for edge, sign in ((t, 1.0), (2 * t, -1.0))]
        for unit, (threshold, edge, sign) in enumerate(edges):
            gate[unit, worst] = 20.0
            gate[unit, constant] = -20.0 * edge
            up[unit, constant] = 1.0
            down[level, unit] = sign / (20.0 * threshold)
    return level


def _matrices(layer: Any) -> tuple[Any, ...]:
    return tuple(getattr(layer.self_attn, f"{name}_proj").weight for name in "qkvo")

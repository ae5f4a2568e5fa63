"""How far each setting moves a case's logits: what moves nothing is either known to, or a case that tests too little."""
import torch

from build import logits_of
from case import Case, Family, Settings
from settings import another, changed, leaves

# Settings that no forward pass of any family reads.
INERT = {
    "_name_or_path", "architectures", "attention_dropout", "bos_token_id", "chunk_size_feed_forward", "dtype",
    "eos_token_id", "hidden_dropout", "id2label", "initializer_range", "is_encoder_decoder", "label2id",
    "max_position_embeddings", "model_type", "num_nextn_predict_layers", "output_attentions",
    "output_hidden_states", "output_router_logits", "pad_token_id", "problem_type", "return_dict",
    "router_aux_loss_coef", "transformers_version", "use_cache",
}
NOISE = 1e-10  # another order of summation in doubles


def _movement(case: Case, settings: Settings, state: dict, ids: torch.Tensor, honest: torch.Tensor) -> float | str:
    try:
        moved = logits_of(case, settings, state, ids)
    except Exception as refusal:  # what the class or its shapes forbid
        return "shape" if "loading state_dict" in str(refusal) else "refused"
    if moved.shape != honest.shape:
        return "shape"
    return float(f"{((moved - honest).pow(2).mean() / honest.pow(2).mean()).sqrt().item():.2g}")


def movements(case: Case, family: Family, settings: Settings, state: dict, ids: torch.Tensor) -> dict[str, float | str]:
    """Per setting: rms of the logits' difference over that of the logits, or `shape`, or `refused`."""
    honest = logits_of(case, settings, state, ids)
    found: dict[str, float | str] = {}
    for path, value in leaves(settings):
        name = path.rsplit(".", 1)[-1]
        other = family.others.get(path, family.others.get(name, another(value)))
        if name in INERT or path.startswith(("vision_config.", "audio_config.")) or other is None:
            continue
        moved = _movement(case, changed(settings, path, other), state, ids, honest)
        is_known = not {name, path}.isdisjoint(family.inert + case.inert)
        if not isinstance(moved, str) and (moved < NOISE) != is_known:
            raise RuntimeError(f"{case.family}/{case.name}: {path} = {other!r} instead of {value!r} moves {moved}")
        found[path] = 0.0 if is_known else moved
    return found

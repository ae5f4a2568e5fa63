"""A committed checkpoint as a GGUF file, by llama.cpp's own converter.

The converter lies in the source package of llama-cpp-python; its folder is
CONVERTER. Cases have no tokenizer, so the vocabulary is left out.
"""
import sys
from pathlib import Path


def load(converter):
    sys.path.insert(0, str(Path(converter) / "gguf-py"))
    sys.path.insert(1, str(converter))
    import conversion
    import gguf
    return conversion, gguf


def convert(converter, folder, out, **options):
    """options: those of the converter's class, such as split_max_tensors."""
    conversion, gguf = load(converter)
    from conversion.base import ModelBase, ModelType
    hparams = ModelBase.load_hparams(Path(folder), False)
    name = conversion.get_model_architecture(hparams, ModelType.TEXT)
    own = conversion.get_model_class(name)

    def no_vocabulary(self):
        self.gguf_writer.add_tokenizer_model("no_vocab")
        n = self.hparams.get("vocab_size")
        if n is None:
            n = self.hparams["text_config"]["vocab_size"]
        self.gguf_writer.add_vocab_size(n)

    model = type(own.__name__, (own,), {
        "model_arch": own.model_arch, "set_vocab": no_vocabulary})
    made = model(Path(folder), gguf.LlamaFileType.ALL_F32, Path(out),
                 eager=True, **options)
    made.write()

"""A committed checkpoint as a GGUF file, by llama.cpp's own converter.

It lies in the source package of llama-cpp-python.  The cases have no
tokenizer, so the vocabulary is left out.
"""
import sys
from pathlib import Path


def load(converter):
    """The converter's modules; its own gguf package goes before PyPI's."""
    sys.path[:0] = [str(converter / "gguf-py"), str(converter)]
    import conversion
    import gguf
    return conversion, gguf


def convert(converter, folder, out, kind="ALL_F32", **options):
    """options: those of the converter's class, such as split_max_tensors."""
    conversion, gguf = load(converter)
    from conversion.base import ModelBase, ModelType
    hparams = ModelBase.load_hparams(Path(folder), False)
    own = conversion.get_model_class(conversion.get_model_architecture(hparams, ModelType.TEXT))

    def no_vocabulary(self):
        self.gguf_writer.add_tokenizer_model("no_vocab")
        text = self.hparams.get("text_config", self.hparams)
        self.gguf_writer.add_vocab_size(text["vocab_size"])

    model = type(own.__name__, (own,), {"model_arch": own.model_arch, "set_vocab": no_vocabulary})
    model(Path(folder), gguf.LlamaFileType[kind], Path(out), eager=True, **options).write()

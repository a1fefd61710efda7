"""Classifiers as judges: sequence classifiers of the hub that read a reply in this process, through transformers.

Replies are read one at a time, in 32-bit floats: in a batch the padding would move the probabilities, so that a
verdict could hang on which other samples happened to wait.
"""

from functools import lru_cache, partial
from threading import Lock
from typing import Any, Final, NamedTuple

import anyio.to_thread

from rim_eval.errors import RimError
from rim_eval.escaping import escape_markers
from rim_eval.fingerprint import fingerprint
from rim_eval.judging._case import Case, Sees
from rim_eval.judging._grader import seen_text
from rim_eval.judging._spec import ClassifierReader
from rim_eval.paths import model_name
from rim_eval.sandbox import render_template

_READING: Final = Lock()


class Reading(NamedTuple):
    """What a classifier says of one reply."""

    label: str | None
    """The judge's label; None where the request alone fills the window."""
    explanation: str
    whole: bool
    """Whether all of the reply was read, not its head alone."""


class Classifier:
    """A sequence classifier with its tokenizer, on the GPU where there is one."""

    def __init__(self, model: str, revision: str | None) -> None:
        try:
            from transformers import pipeline

            self._pipeline: Any = pipeline(
                "text-classification",
                model,
                revision=revision,
                dtype="float32",
                model_kwargs={"use_safetensors": True},
            )
        except (ImportError, OSError, ValueError) as error:
            raise RimError(
                f"The classifier {model} cannot be loaded: {str(error).splitlines()[0]} It needs transformers "
                "(pip install 'rim-eval[hf]') and its files: without network, fetch them elsewhere (`hf download MODEL "
                "--local-dir FOLDER`) and pass a copy of the judge's file with `model: FOLDER` and no revision."
            ) from None
        loaded, self._pipeline.tokenizer.truncation_side = self._pipeline.model, "right"
        self.labels = {*loaded.config.id2label.values()}
        commit = getattr(loaded.config, "_commit_hash", None)
        self.name = f"{model_name(model)}@{commit or fingerprint(loaded)}"
        """Model and commit; of a folder the fingerprint of its weights."""

    def read(self, reader: ClassifierReader, case: Case, sees: Sees) -> Reading:
        """Read one reply as a judge file says; other threads wait."""
        text, bare = (_render(reader, case, reply) for reply in (seen_text(case, sees), ""))
        most = reader.max_tokens
        with _READING:
            n_bare, n_tokens = map(len, self._pipeline.tokenizer([bare, text])["input_ids"])
            if n_bare >= most:
                return Reading(None, f"the request alone fills all {most} tokens", False)
            settings = {"truncation": True, "max_length": most, "function_to_apply": "softmax"}
            [best] = self._pipeline(text, **settings)
        label, is_whole = best["label"], n_tokens <= most
        part = "" if is_whole else f", of the first {most} of {n_tokens} tokens"
        return Reading(reader.labels[label], f"{label} ({best['score']:.3f}){part}", is_whole)


def _render(reader: ClassifierReader, case: Case, reply: str) -> str:
    values = {"request": case.prompt_text, "context": case.context or "", "response": reply}
    escaped = {name: escape_markers(text) for name, text in values.items()}
    return render_template(reader.text, escaped, strict=True)


_loaded = lru_cache(maxsize=4)(Classifier)


def load_classifier(reader: ClassifierReader) -> Classifier:
    """The classifier of a judge file, loaded once in a process.

    Raises:
        RimError: It cannot be loaded, or its labels are not those of the file.
    """
    classifier = _loaded(reader.model, reader.revision)
    if classifier.labels != set(reader.labels):
        raise RimError(
            f"The classifier {classifier.name} has the labels {sorted(classifier.labels)}, and the judge's "
            f"file maps {sorted(reader.labels)}. Map the model's own, or pin the revision that has these."
        )
    return classifier


async def classify(reader: ClassifierReader, case: Case, sees: Sees) -> Reading:
    """Read one reply in a thread of its own, so that other samples go on."""
    return await anyio.to_thread.run_sync(partial(load_classifier(reader).read, reader, case, sees))

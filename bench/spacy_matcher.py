"""spaCy's PhraseMatcher on the texts of a file, in a blank pipeline for each language; it runs where spaCy is."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

STARTED = time.perf_counter()

import spacy  # noqa: E402 - its import is part of what is measured
from spacy.matcher import PhraseMatcher  # noqa: E402 - as above


def main() -> None:
    """Print articles a second, the seconds until all languages were ready, and the memory of the process."""
    told = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    ready = {}
    for language, phrases in told["phrases"].items():
        pipeline = spacy.blank(language)
        matcher = PhraseMatcher(pipeline.vocab, attr="LOWER")
        matcher.add("wanted", list(pipeline.tokenizer.pipe(phrases)))
        ready[language] = pipeline, matcher
    start_s, processor_s = time.perf_counter() - STARTED, time.process_time()
    texts = [(language, text) for language, text in told["texts"] if language in ready]
    began = time.process_time()
    for language, text in texts:
        pipeline, matcher = ready[language]
        matcher(pipeline(text))
    rate = len(texts) / (time.process_time() - began) if texts else 0.0
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(
        json.dumps({"rate": rate, "start_s": start_s, "processor_s": processor_s, "memory_mb": memory_mb}) + "\n"
    )


if __name__ == "__main__":
    main()

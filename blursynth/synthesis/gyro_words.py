"""Words that a remark in a gyroscope's recording may have without speaking of units, axes, scale or signs.

A remark in any language can state a unit, and no list of units is complete, so that the harmless words are listed.
"""

import re

_TEXT = """
    a about above after again all alone along also am an and android app apple apr april are arm64 around as at
    aug august auto average back be before begin begins bias big bridge but by calibrated calibration camera
    canon car case cest cet clip column columns comma commas comment copy created data dataset date day dec
    december dji done drive drone e each eight email end epoch example exposure feb february field fields file
    five flip flu focal for format four frequency fri friday from galaxy general gmt google gopro gyro gyroscope
    had hand handheld has have held hero html http https huawei id in indoor indoors intel ios iphone is iso it
    its iv jan january jul july jun june kind large lens light linux log logged logger long low made mail mar
    march may me mini mobile model mon monday more motion motorola move moved movement moves moving my name new
    night nikon no noise none not note notes nov november now oct october of off old on one oneplus only oppo or
    other our outdoor outdoors outside over page park phone photo photos pixel please plus pm pro prose radius
    random rate rates realsense record recorded recorder recording recordings redmi remark remarks removed run
    running s same sample sampled samples sampling samsung sat saturday scene sec second seconds see sensor
    sensors sent sep sept september series session shake shaking shared shot shots signal since slow small
    smooth some sony standing start started static steady still stop street subject sun sunday take taken test
    text than thank thanks that the their then there these they this those three thu thursday time times
    timestamp timestamps to train tripod tue tuesday turns two ultra under us used user uses using utc v van
    version very video walk walked walking walks was we wed wednesday were while windows with without x86_64
    xiaomi year you
"""
_WORDS = frozenset(_TEXT.split())
_MAKERS = {"canon", "dji", "galaxy", "gopro", "google", "huawei", "iphone", "motorola", "nikon", "oneplus", "oppo"}
_MAKERS |= {"pixel", "sony"}
# What is passed over whole: addresses, a number with its unit, and words that mean nothing else together.
_PASSED = re.compile(
    r"https?://\S+|\bf/\d[\d.]*|°\s*[cf]\b|(?<=\d)\s*(?:k?hz|fps|s|sec|seconds|mm|iso)\b|\d/\d+\s*s\b"
    r"|\braw recordings?\b|\b(?:small|large)[- ]scale\b|\bgr[ae]y[- ]scale\b",
    re.IGNORECASE,
)
_MODEL = re.compile(r"(?!(?:int|uint|float|[fiqsu])\d)[a-z]{1,4}\d+[a-z]{0,2}")
_CHIP = re.compile(r"(?:bmi|icm|lsm|mpu)\d+[a-z]*")


def unknown(text: str, names: frozenset[str]) -> str | None:
    """The first word that may be about the numbers; None where there is none. names: of columns, which are known."""
    words: list[str] = re.findall(r"\w+", _PASSED.sub(" ", text).lower())
    of_maker = bool(_MAKERS.intersection(words) or any(word.startswith("hero") for word in words))
    for word in words:
        known = word in _WORDS or word in names or word.isdecimal() or _CHIP.fullmatch(word)
        if not known and not (of_maker and _MODEL.fullmatch(word)):
            return word
    return None

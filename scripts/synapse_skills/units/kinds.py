"""How much the name of a folder or an ending sounds like a file specification: `masks/` and `_seg` like `mask_1`."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable

from synapse_skills.plan import SpecPlan

_GROUPS = (
    "image img imgs pic pics picture photo photos jpg jpeg jpegs jpegimages png pngs rgb color colour raw frame frames "
    "original originals origin input inputs 이미지 사진 원본",
    "label lbl annotation annotations ann anns anno annos json jsons xml xmls txt bbox bboxes box boxes gt gts "
    "groundtruth target targets 라벨 라벨링 라벨링데이터 주석",
    "mask seg segs segment segments segmentation segmentations segmentationclass semantic panoptic matte alpha 마스크",
    "dicom dicoms dcm dcms scan ct mr mri volume volumes nii nifti medical",
    "video videos movie movies clip clips mp4 mp4s vid vids avi 영상 비디오 동영상",
    "audio audios sound sounds wav wavs mp3 mp3s speech voice voices 음성 오디오",
    "pcd pcds lidar pointcloud pointclouds cloud clouds point points velodyne ply",
    "depth depths disparity disparities",
    "text texts caption captions transcript transcripts 텍스트",
    "meta metadata info",
    "left l",
    "right r",
)
_GROUP_OF = {word: number for number, words in enumerate(_GROUPS) for word in words.split()}
_FILE_TYPES = {"image": 0, "medical": 3, "video": 4, "audio": 5, "pcd": 6, "text": 8}
SPLITS = frozenset(
    {"train", "training", "trn", "val", "valid", "validation", "dev", "test", "testing", "tst", "eval", "trainval"}
    | {"split", "part", "fold", "batch", "set"}
)

NAME, WHOLE, SAME_KIND, WORD, WORD_OF_KIND = 3.5, 3.0, 2.0, 1.5, 1.0
REST = 0.5


@functools.lru_cache(maxsize=4096)
def words(text: str) -> tuple[str, ...]:
    """The words in a name, without digits: `train2017_imgs` → train, imgs."""
    return tuple(filter(None, re.split(r"[\W\d_]+", unicodedata.normalize("NFC", text).casefold())))


def is_split(name: str) -> bool:
    """Whether a folder is called like a part of a data set: those tell data units apart, never kinds of files."""
    found = words(name)
    return bool(found) and all(word in SPLITS for word in found)


def numbered(names: Iterable[str]) -> set[str]:
    """Names that are many of one: `patient_001`, `patient_002`, `patient_003`."""
    alike_: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        if re.search(r"\d", name) or not words(name):
            alike_.setdefault(words(name), []).append(name)
    return {name for many in alike_.values() if len(many) > 2 for name in many}


def is_kind(name: str) -> bool:
    """Whether a name has a word for a kind of file."""
    return any(_group(word) is not None for word in words(name))


@functools.lru_cache(maxsize=4096)
def alike(spec: SpecPlan, name: str) -> float:
    """From 0 (nothing in common) to 3.5 (the same name). No name at all goes well with the main specification."""
    mine, others = words(spec.name), words(name)
    if _plain(name) and _plain(name) in (_plain(spec.name), _plain(re.sub(r"[\W_]*\d+$", "", spec.name))):
        return NAME
    if not others:
        return REST if spec.is_primary else REST / 2 if spec.is_required else 0.0
    whole, other = _singular("".join(mine)), _singular("".join(others))
    if whole == other:
        return WHOLE
    groups = {_group(word) for word in mine} - {None} or {_FILE_TYPES.get(spec.file_type.lower())} - {None}
    if _group("".join(others)) in groups:
        return SAME_KIND
    if {_singular(word) for word in mine} & {_singular(word) for word in others}:
        return WORD
    return WORD_OF_KIND if {_group(word) for word in others} & groups else 0.0


def _group(word: str) -> int | None:
    found = _GROUP_OF.get(word)
    return _GROUP_OF.get(_singular(word)) if found is None else found


def _plain(name: str) -> str:
    """`_t1` and `T1_1` have `t1` in common, which is no word."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", name)).casefold()


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word

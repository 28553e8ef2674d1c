"""Projects of one tenant: who labelled what, for the conversations about exports."""

from __future__ import annotations

from typing import Any

from planning.export_world import Labelled, Shape, area, box, joint, outline, picture, question, reply, seed_of, whole

RAW = (
    '{"assignmentId": 5, "extra": {"image_1": {"width": 64, "height": 48, "scale": 1.0}}, "zz": 123456789012345678901, '
    '"annotations":  {"image_1": [{"id": "a0", "tool": "bounding_box", "classification": {"class": "자동차"}}]}, '
    '"annotationsData": {"image_1": [{"id": "a0", "coordinate": {"y": 2.50, "x": 1e1, "width": 5, "height": 6}}]}}'
)


def _street(number: int) -> tuple[Shape, ...]:
    at = float(number)
    joints = [joint(name, 10 + at, 5 + place, "p") for place, name in enumerate(("nose", "left_eye", "right_eye"))]
    return (
        box("car", 1 + at, 2.5, 10, 12),
        outline("road", (0, 40), (63, 40), (63, 47.5), (0, 47)),
        area("sky", 0, 0, 20 + number, 6),
        box("person", 8 + at, 3, 9, 20, group="p"),
        *joints,
    )


def _robot(number: int) -> tuple[Shape, ...]:
    joints = {"head": (20.0, 6.0 + number), "hand": (12.5, 16.0), "foot": (20.0, 30.0)}
    return (
        box("person", 10, 4, 20, 30, group="p"),
        *(joint(name, x, y, "p") for name, (x, y) in joints.items() if (name, number) != ("hand", 1)),
    )


def _outline(label: str, number: int) -> Shape:
    return outline(label, (1, 1), (20.0 + number, 1), (20, 20.25), (4, 9))


def _room(number: int) -> tuple[Shape, ...]:
    return box("chair", 1.5 + number, 2, 10, 12.25), outline("floor", (0, 30), (40, 30), (40, 47), (0, 47))


def _segments(number: int) -> tuple[Shape, ...]:
    road = outline("road", (0, 30), (60, 30), (60, 40), (0, 40))
    return area("sky", 0, 0, 64, 10), road, area("sky", 10, 12, 20 + number, 20)


STREET = [Labelled(1100 + n, f"street_{n}.png", _street(n)) for n in range(12)]
DETECT = [
    Labelled(
        1200 + n,
        f"사진 {n:02}.png",
        tuple(box("car" if k % 2 else "bus", 2 + n, 3 + 9 * k, 8.5, 6) for k in range(n % 4)),
    )
    for n in range(12)
]
OUTLINES = [
    Labelled(1300 + n, f"o{n}.png", tuple(_outline(label, n) for label in ("van", "car", "tree", "ignore")[: n % 5]))
    for n in range(10)
]
AERIAL = [
    Labelled(1400 + n, f"tile{n}.tif.png", (box("ship", 20, 15, 20, 8, turn=0.3 * n), box("plane", 5, 30, 9, 5)))
    for n in range(4)
]
ROBOTS = [Labelled(1500 + n, f"r{n}.png", _robot(n)) for n in range(4)]
ROOMS = [Labelled(1600 + n, f"room{n}.png", _room(n)) for n in range(4)]
TABLE = [
    Labelled(1700, "=cmd.png", (box("=SUM(A1)", 1, 2, 3, 4, attributes={"메모": "+82 10", "n": 3}),)),
    Labelled(
        1701,
        "보행자.png",
        (
            box("보행자, 어린이", 5.5, 6, 7, 8, attributes={"메모": '줄\n"둘"'}),
            outline("=SUM(A1)", (1, 1), (9, 1), (9, 9)),
        ),
    ),
]
ODD = [
    Labelled(1800, "odd.png", (box("자동차", 10, 2.5, 5, 6),), {"data_text": RAW}),
    Labelled(1801, "plain.png", (box("자동차", 1, 2, 3, 4),)),
]
CLIPS = [
    Labelled(
        1900 + n,
        f"B8_{n:04}.mp4",
        tuple(whole(f"설명 {k}", description_kr=f"문장 {n}-{k}") for k in range(1, 1 + n % 3)),
        meta={"category": ("1. 자연", "2. 도시")[n % 2], "group": f"B{n // 2}"},
        media="video_1",
    )
    for n in range(5)
]
GOLD = [Labelled(2000 + n, f"gold{n}.png", (box("cat", 1 + n, 2, 10, 12),)) for n in range(7)]
GOLD_PARTS = ("train", "train", "validation", "train", "test", "train", "validation")
WORK = [
    Labelled(2100, "t0.png", (box("cup", 1, 2, 3, 4),)),
    Labelled(2101, "t1.png", (box("cup", 5, 6, 7, 8),), {"task_data": None}),
]
REVIEW = [
    Labelled(2200 + n, f"w{n}.png", (box("cup", 1 + n, 2, 3, 4),), {
        "status_review": ("confirmed", "rejected", "pending")[n % 3],
        "tags": ["night"] if n % 2 else ["day"],
        "created": f"2026-03-{n + 1:02}T10:00:00Z",
        "is_discarded": n == 8,
    })
    for n in range(9)
]  # fmt: skip
TWICE = [
    Labelled(2300, "d0.png", (box("old", 1, 1, 5, 5),), {"status_review": "confirmed"}, unit=70),
    Labelled(2301, "d0.png", (box("new", 2, 2, 5, 5),), {"status_review": "rejected"}, unit=70),
    Labelled(2302, "d1.png", (box("old", 3, 3, 5, 5),), {"status_review": "rejected"}, unit=71),
    Labelled(2303, "d1.png", (box("new", 4, 4, 5, 5),), {"status_review": "confirmed"}, unit=71),
]
SORTED = [Labelled(2400 + n, f"s{n}.png", (whole(("고양이", "dog")[n % 2], 밝기="밤"),)) for n in range(6)]
CHAT = [
    Labelled(2500 + n, f"q{n}.txt", (question(f"{n} 더하기 {n}?"), reply(f"{2 * n}입니다.")), media="prompt_1")
    for n in range(3)
]
SEGMENTS = [Labelled(2600 + n, f"m{n}.png", _segments(n)) for n in range(3)]

PROJECTS: dict[int, tuple[str, list[Labelled]]] = {
    11: ("Street", STREET),
    12: ("Detect", DETECT),
    13: ("Outlines", OUTLINES),
    14: ("Aerial", AERIAL),
    15: ("Robots", ROBOTS),
    16: ("Rooms", ROOMS),
    17: ("표", TABLE),
    18: ("Odd", ODD),
    19: ("Clips", CLIPS),
    20: ("Cats", GOLD),
    21: ("Work", WORK),
    22: ("Review", REVIEW),
    23: ("Twice", TWICE),
    24: ("Sorted", SORTED),
    25: ("Chat", CHAT),
    26: ("Segments", SEGMENTS),
}
GOLD_VERSION = 31
TRUTH = {
    "id": 30,
    "name": "Gold cats",
    "project": 20,
    "versions": [
        {
            "id": GOLD_VERSION,
            "version": "1.0",
            "records": [{"assignment": each.id, "category": part} for each, part in zip(GOLD, GOLD_PARTS, strict=True)],
        }
    ],
}


def seed() -> dict[str, Any]:
    """The whole tenant."""
    return seed_of(PROJECTS, ground_truths=[TRUTH])


def content_of(each: Labelled) -> bytes:
    """The bytes of a record's picture."""
    return picture(each.unit or 100_000 + each.id)

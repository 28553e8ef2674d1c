"""The lists of the export half on the wire: pages, cursors, filters, wrappers, links, and what goes wrong with them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from export_seed import FIRST, OTHER, PROJECT, VERSION, document, row, seed

from sandbox_fixture import Sandbox, sandboxes
from synapse_sandbox.errors import BadInput
from synapse_sandbox.seed import parse_seed
from synapse_sandbox.store import Store

ALL = [FIRST + at for at in range(7)]
CURSOR = f"/sdk/assignments/?project={PROJECT}&pagination=cursor&ordering=-id&page_size=3"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("records")
    with sandboxes(folder) as start:
        yield start(seed=seed(str(folder)))


@pytest.fixture
def box(made: Sandbox) -> Iterator[Sandbox]:
    first = made.settings()
    yield made
    made.set_faults()
    made.set(**first)


def ids(box: Sandbox, query: str, path: str = "/sdk/assignments/", key: str = "id") -> list[int]:
    """The ids of a list of the project, sorted."""
    scope = "" if "ground_truth" in path else f"project={PROJECT}&"
    page = box.get(f"{path}?{scope}{query}")
    assert page["count"] == len(page["results"])
    return sorted(row[key] for row in page["results"])


def fetch(url: str, **headers: str) -> tuple[int, Any, bytes]:
    """A link as somebody without a login follows it."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def walk(box: Sandbox, url: str | None) -> list[list[int]]:
    """The ids of every page."""
    pages = []
    while url:
        page = box.get(url)
        pages.append([row["id"] for row in page["results"]])
        url = page["next"]
        assert url is None or url.startswith("http://127.0.0.1:"), "as the SDK follows it"
    return pages


def test_a_cursor_goes_over_everything_without_a_count(box):
    assert "count" not in box.get(CURSOR)
    assert walk(box, CURSOR) == [ALL[:3:-1], ALL[3:0:-1], ALL[:1]]
    assert walk(box, CURSOR.replace("-id", "id")) == [ALL[:3], ALL[3:6], ALL[6:]]
    assert walk(box, CURSOR + f"&id__lt={FIRST + 3}") == [ALL[2::-1]]
    assert box.request("GET", CURSOR + "&cursor=nonsense")[0] == 404


def test_pages_are_counted_and_as_long_as_the_server_likes(box):
    url = f"/sdk/assignments/?project={PROJECT}&page_size=4"
    assert box.get(url)["count"] == 7
    assert walk(box, url) == [ALL[:2:-1], ALL[2::-1]]
    box.set(max_page_size=2)
    assert [len(page) for page in walk(box, url + "&ordering=id")] == [2, 2, 2, 1]
    assert box.request("GET", url + "&page=9")[0] == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ALL),
        ("status_label=stand_by", [104]),
        ("status_review=confirmed,rejected", [101, 102]),
        ("is_confirmed=true", [101]),
        ("is_discarded=false", [101, 102, 103, 105, 106, 107]),
        ("tags=7", [101]),
        (f"tags={quote('야간')}", [101, 103]),
        ("task_tags=night", [102, 104, 106]),
        ("users=9", [101, 103, 105, 107]),
        ("users=8", [102, 104, 106]),
        ("reviewers=12,13", [101, 102]),
        ("created__gte=2026-03-06", [106, 107]),
        ("created__lt=2026-03-02T19%3A00%3A00%2B09%3A00", [101]),
        ("last_labeled__lte=2026-03-01T10:00:00Z", [101]),
        ("ids=101,105,999", [101, 105]),
        ("ids_ex=101,102,103", [104, 105, 106, 107]),
        ("id__gt=102&id__lte=104", [103, 104]),
        ("tasks=1101,1102", [101, 102]),
        ("search=unit+3", [104]),
        (f"search={quote('이미지_2')}", [103]),
        ("workshop=1", []),
        ("id__in=101&id__in=102", [102]),
        ("statuslabel=done&user=8", ALL),
        ("tags=", ALL),
    ],
)
def test_what_assignments_can_be_narrowed_by(box, query, found):
    assert ids(box, query) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("labelers=8", [1102, 1104, 1106]),
        ("reviewers=13", [1102]),
        ("tags=night", [1102, 1104, 1106]),
        ("assignments=101,103", [1101, 1103]),
        ("assignments__is_discarded=true", [1104]),
        ("has_assignment=false", []),
        ("has_reached_max_assignments=true", [1000 + number for number in ALL]),
        ("status_label=stand_by", [1104]),
        ("created__lt=2026-03-02", [1101]),
        ("id__in=1101,1102", [1101, 1102]),
        ("created_after=2030-01-01", [1000 + number for number in ALL]),
    ],
)
def test_what_tasks_can_be_narrowed_by(box, query, found):
    assert ids(box, query, "/sdk/tasks/") == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"ground_truth_dataset_version={VERSION}", [1, 2, 3]),
        (f"ground_truth_dataset_versions={VERSION},6", [1, 1, 2, 3]),
        ("ground_truth_dataset=31", [1, 1, 2, 3]),
        ("category=validation", [2]),
        ("categories=train,validation&ground_truth_dataset_versions=5", [1, 2, 3]),
        ("classes=truck", [2]),
        ("ground_truth=1", [1, 1]),
        ("task=1103", [2]),
    ],
)
def test_what_ground_truths_can_be_narrowed_by(box, query, found):
    assert ids(box, query, "/sdk/ground_truth_events/") == found
    assert ids(box, query, "/ground_truths/") == found


def test_an_unknown_parameter_can_be_refused_and_a_bad_value_always_is(box):
    box.set(unknown_filters="refused")
    status, body = box.request("GET", f"/sdk/assignments/?project={PROJECT}&statuslabel=done")
    assert (status, body) == (400, {"statuslabel": ["Unknown parameter."]})
    assert ids(box, "status_label=done&expand=data&fields=id&response_mode=presigned") != []
    for query in ("ids=1,x", "project=a", "is_discarded=maybe", "created__gte=yesterday", "id__lt=1.5"):
        assert box.request("GET", f"/sdk/assignments/?{query}")[0] == 400, query


def test_without_a_scope_the_whole_tenant_comes(box):
    assert {row["project"] for row in box.get("/sdk/assignments/")["results"]} == {PROJECT, OTHER}


def test_lists_by_repeated_keys(box):
    box.set(id_lists="repeated")
    assert ids(box, "id__in=101&id__in=102") == [101, 102]


def test_a_row_and_what_is_expanded(box):
    plain = box.get(f"/sdk/assignments/?ids={FIRST}")["results"][0]
    assert plain["task"] == {"id": 1101, "project": PROJECT, "tags": []}
    assert plain["data_unit"] == 2101 and plain["tags"] == [{"id": 7, "name": "야간"}]
    assert plain["file"]["file_name_original"] == "이미지_0.png"
    assert plain["data"] == document(FIRST)
    expanded = box.get(f"/sdk/assignments/?ids={FIRST}&expand=data&expand=data_unit")["results"][0]
    assert expanded["data_unit"]["meta"]["category"] == "1. 자연"
    assert list(expanded["data_unit"]["files"]) == ["image_1"]
    assert box.get(f"/assignments/{FIRST}/?expand=data_unit")["data_unit"]["id"] == 2101
    assert box.get("/tasks/1101/?fields=id,data_unit") == {"id": 1101, "data_unit": 2101}
    assert box.request("GET", "/assignments/5/")[0] == 404
    box.set(expands=["task"], narrows=[])
    assert box.get(f"/assignments/{FIRST}/?expand=data_unit&fields=id")["data_unit"] == 2101


def test_files_as_a_manifest_a_sidecar_first(box):
    (row,) = box.get("/sdk/assignments/?ids=105")["results"]
    assert row["file"]["file_name_original"] == "../../x.png", "the primary one, though another comes first"
    box.set(files_shape="manifest")
    (row,) = box.get("/sdk/assignments/?ids=105&expand=data_unit")["results"]
    assert list(row["files_manifest"]) == ["data_meta_1", "image_1"] and "file" not in row
    assert "files" not in row["data_unit"]
    assert box.get("/sdk/assignments/?ids=900")["results"][0]["files_manifest"] is None


def test_variants_with_data_only_and_files_only(box):
    assert box.get(f"/sdk/tasks/data/?id={FIRST + 1000}")["results"] == [{"id": 1101, "data": document(FIRST)}]
    (row,) = box.get("/sdk/assignments/files/?id=105")["results"]
    assert set(row) == {"id", "files"} and [file["name"] for file in row["files"]] == ["data_meta_1", "image_1"]
    (row,) = box.get("/sdk/ground_truth_events/data/?ground_truth=3")["results"]
    assert set(row) == {"id", "pgh_id", "data"} and row["data"] == document(3)


def test_data_arrives_as_the_text_it_was(box):
    request = urllib.request.Request(
        f"{box.host}/sdk/assignments/?ids=107", headers={"Synapse-Access-Token": f"Token {box.token}"}
    )
    with urllib.request.urlopen(request) as response:
        text = response.read().decode()
    assert '{"n": 1.0,  "big": 12345678901234567890123, "nan": NaN, "n": 2}' in text
    assert json.loads(text)["results"][0]["file"] == {}
    assert box.get("/sdk/assignments/?ids=104")["results"][0]["data"] is None


def test_a_wrapper_and_its_link(box):
    url = "/sdk/assignments/?ids=101,103&ordering=id&response_mode=presigned"
    small, large = (row["data"] for row in box.get(url)["results"])
    assert small == document(101)
    assert set(large) == {"mode", "presigned_url", "size", "data_digest"} and large["mode"] == "presigned"
    status, _, body = fetch(large["presigned_url"])
    assert (status, len(body)) == (200, large["size"]) and json.loads(body) == document(103, 40, "truck")
    assert fetch(large["presigned_url"].replace("Signature=", "Signature=0"))[0] == 403
    assert fetch(large["presigned_url"].partition("?")[0])[0] == 403
    box.set(wrap_bytes=None)
    assert box.get(url)["results"][1]["data"] == document(103, 40, "truck")


def test_a_link_is_used_up_or_ends_and_is_issued_again(box):
    url = "/sdk/assignments/?ids=103&response_mode=presigned"

    def link() -> str:
        return str(box.get(url)["results"][0]["data"]["presigned_url"])

    box.set(payload_uses=1)
    first = link()
    assert [fetch(first)[0], fetch(first)[0], fetch(link())[0]] == [200, 403, 200]
    box.set(payload_uses=None)
    box.set_faults({"kind": "expired-links", "on": [1]})
    ended = link()
    assert (fetch(ended)[0], fetch(link())[0]) == (403, 200)
    assert b"expired" in fetch(ended)[2]


def test_data_inline_though_it_is_long(box):
    url = "/sdk/assignments/?ids=103"
    for how, keys in (
        ("wrapped", {"mode", "truncated", "data"}),
        ("truncated", {"mode", "truncated", "size", "data_digest", "inline_max_bytes"}),
        ("truncated_link", {"mode", "truncated", "size", "data_digest", "inline_max_bytes", "presigned_url"}),
    ):
        box.set(inline_data=how)
        data = box.get(url)["results"][0]["data"]
        assert set(data) == keys and data["mode"] == "inline" and data["truncated"] is (how != "wrapped")
    assert json.loads(fetch(data["presigned_url"])[2]) == document(103, 40, "truck")


def test_media_in_ranges_and_for_a_while(box):
    (row,) = box.get("/sdk/assignments/?ids=101")["results"]
    link = row["file"]["url"]
    status, headers, whole = fetch(link)
    assert status == 200 and whole.startswith(b"\x89PNG") and "filename" in headers["Content-Disposition"]
    status, headers, part = fetch(link, Range="bytes=4-9")
    assert (status, part) == (206, whole[4:10]) and headers["Content-Range"] == f"bytes 4-9/{len(whole)}"
    request = urllib.request.Request(link, method="HEAD")
    with urllib.request.urlopen(request) as response:
        assert response.headers["Content-Length"] == str(len(whole)) and response.read() == b""
    assert fetch(link.partition("?")[0])[0] == 403
    box.set_faults({"kind": "expired-links", "route": "assignments.list", "on": [1]})
    assert fetch(box.get("/sdk/assignments/?ids=101")["results"][0]["file"]["url"])[0] == 403
    box.set(media_seconds=None)
    assert fetch(link.partition("?")[0])[2] == whole
    # A name that climbs, and a file whose bytes are gone.
    (row,) = box.get("/sdk/assignments/?ids=105")["results"]
    assert fetch(row["file"]["url"])[0] == 200
    assert fetch(box.get("/sdk/assignments/?ids=106")["results"][0]["file"]["url"])[0] == 404


def test_data_units_in_bulk_by_id(box):
    page = box.get("/data_units/?ids=2101,2103,9999")
    assert [(row["id"], row["meta"]["name"]) for row in page["results"]] == [(2101, "unit 0"), (2103, "unit 2")]
    assert box.request("GET", "/data_units/?ids=a")[0] == 400
    box.set(honours=["data_collection"])
    assert box.get("/data_units/?ids=2101")["count"] > 1, "a parameter that is not honoured is ignored"


def test_ground_truth_rows_show_files_twice(box):
    rows = box.get(f"/sdk/ground_truth_events/?ground_truth_dataset_versions={VERSION}")["results"]
    assert [row["id"] for row in rows] == [3, 2, 1] and len({row["pgh_id"] for row in rows}) == 3
    assert rows[0]["files"]["image_1"]["file_name_original"] == "이미지_1.png"
    assert list(rows[0]["data_unit"]["files"]) == ["image_1"] and rows[0]["category"] == "train"
    (truth,) = box.get("/ground_truths/?ground_truth=3")["results"]
    assert json.loads(fetch(truth["files"]["data_meta_1"]["url"])[2]) == document(3)


def test_both_shapes_of_a_project_s_classes(box):
    schema = {"bounding_box": {"classification_schema": [{"code": "car"}, {"code": "truck"}]}}
    assert box.get(f"/projects/{PROJECT}/")["configuration"]["classification"] == schema
    box.set(configuration="names")
    names = {"bounding_box": ["car", "truck"]}
    assert box.get(f"/projects/{PROJECT}/")["configuration"]["classification"] == names
    assert box.get(f"/v2/projects/{PROJECT}/")["data"]["configuration"]["classification"] == names
    box.set(configuration="schema")
    assert box.get(f"/projects/{PROJECT}/")["configuration"]["classification"] == schema
    assert box.get(f"/projects/{OTHER}/")["configuration"] == {}


def test_what_goes_wrong_with_a_list(box):
    url = f"/sdk/assignments/?project={PROJECT}&page_size=3"
    box.set_faults({"kind": "status", "status": 520, "route": "assignments.list", "query": r"[?&]?page=2", "times": 2})
    assert [box.request("GET", url + more)[0] for more in ("", "&page=2", "&page=2", "&page=2")] == [200, 520, 520, 200]
    box.set_faults({"kind": "truncated", "route": "assignments.list", "times": 1})
    with pytest.raises(json.JSONDecodeError):
        box.request("GET", url)
    assert box.request("GET", url)[0] == 200
    box.set_faults({"kind": "cut-off", "route": "assignments.list", "times": 1})
    with pytest.raises((OSError, urllib.error.URLError)):
        box.request("GET", url)
    box.set_faults({"kind": "null-data"})
    assert {row["data"] for row in box.get(url)["results"]} == {None}
    status, said = box.request("POST", "/_sandbox/faults", {"faults": [{"kind": "null-data", "route": "units.list"}]})
    assert status == 400 and "assignments.list" in str(said)
    status, _ = box.request("POST", "/_sandbox/faults", {"faults": [{"kind": "slow", "route": "api", "query": "("}]})
    assert status == 400


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"assignments": {}}, "seed.assignments must be a list"),
        ({"assignments": ["x"]}, "seed.assignments[0] must be an object"),
        ({"assignments": [row(0, created="soon")]}, "seed.assignments[0]: 'soon' is no date or time"),
        ({"assignments": [{"data_unit": 77}]}, "seed.assignments[0]: data_unit: there is no data unit 77"),
        ({"assignments": [row(0, project=None)]}, "project is missing"),
        ({"assignments": [row(0, file={}, data_text=3)]}, "data_text must be the JSON of the data"),
        ({"ground_truths": [{"records": [{"assignment": 5}]}]}, "there is no assignment 5"),
        ({"data_units": [{"files": {"a": {"local_path": "/etc/hostname"}}}]}, "is no file below files_root"),
        ({"data_units": [{"files": {"a": {"content_base64": "%"}}}]}, "content_base64 is no base64"),
        ({"files_root": "/nowhere/at/all"}, "seed.files_root must be a folder"),
    ],
)
def test_labelled_work_that_can_not_be(tmp_path, changes, words):
    document = {"projects": [{"id": 1, "title": "a"}, {"id": 2, "title": "b"}], **changes}
    with pytest.raises(BadInput) as error:
        store = Store(tmp_path)
        try:
            store.sow(parse_seed(document))
        finally:
            assert not store.sown(), "nothing of it was applied"
            store.close()
    assert words in str(error.value)

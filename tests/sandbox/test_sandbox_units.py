"""What a data unit is held to, how a refusal looks, and the switches for what nobody knows of the real one."""

import pytest

from sandbox_fixture import COLLECTION, PNG, PROJECT, SEED, Sandbox, sandboxes, seed_with

SCHEMA = {
    "type": "object",
    "properties": {"patient": {"type": "string", "pattern": "^P[0-9]+$"}, "age": {"type": "integer"}},
    "required": ["patient"],
    "additionalProperties": False,
}
WITH_SCHEMA = 58


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    specs = SEED["collections"][0]["file_specifications"]
    remote = {"$ref": "http://127.0.0.1:9/schema.json"}
    more = [
        {"id": WITH_SCHEMA, "name": "Strict", "meta": {"data_unit_meta_schema": SCHEMA}, "file_specifications": specs},
        {"id": 59, "name": "Remote", "meta": {"data_unit_meta_schema": remote}, "file_specifications": []},
        {"id": 60, "name": "Anything", "meta": {}, "file_specifications": [{"name": "any", "is_required": True}]},
    ]
    with sandboxes(tmp_path_factory.mktemp("units")) as start:
        box: Sandbox = start(seed=seed_with(collections=[*SEED["collections"], *more]))
        yield box


def unit(files, collection=COLLECTION, **more):
    return {"data_collection": collection, "files": files, **more}


def refusal(box, body):
    status, answer = box.request("POST", "/data_units/", body)
    assert status == 400, (status, answer)
    return answer


def test_every_rule(box, files):
    known = files["image_1"]["checksum"]
    label = files["label_1"]
    for body, field, words in (
        (unit(files, 999), "data_collection", 'Invalid pk "999" - object does not exist.'),
        (unit(files, "57"), "data_collection", "Incorrect type. Expected pk value."),
        ({"data_collection": COLLECTION}, "files", "This field is required."),
        (unit([]), "files", "Expected an object."),
        (unit({**files, "imgae_1": label}), "files", '"imgae_1" is not a file specification.'),
        (unit({"image_1": files["image_1"]}), "files", '"label_1" is required.'),
        (unit({**files, "label_1": {"path": "x.json"}}), "files", '"label_1": a checksum is required.'),
        (
            unit({**files, "label_1": {"checksum": "0" * 40, "path": "x.json"}}),
            "files",
            f'"label_1": no file with the checksum {"0" * 40} has been uploaded.',
        ),
        (
            unit({**files, "image_1": {"checksum": known, "path": "x/y.gif"}}),
            "files",
            '"image_1": the extension of x/y.gif is not one of .png, .jpg.',
        ),
        (unit(files, groups="a"), "groups", "Expected a list of texts."),
        (unit(files, meta=[]), "meta", "Expected an object or null."),
    ):
        assert refusal(box, body) == {field: [words]}
        assert refusal(box, [body]) == [{field: [words]}]


def test_the_file_of_several_with_the_same_bytes_that_was_uploaded_under_this_name(box, files):
    checksum = box.put_file("b.png", PNG)
    assert box.put_file("c.json", PNG) == checksum
    made = box.post("/data_units/", unit({**files, "image_1": {"checksum": checksum, "path": "x/b.png"}}))
    assert made["files"]["image_1"]["file_name_original"] == "b.png"


@pytest.mark.parametrize("name", ["x.png", "x.PNG", "x.JpG", "a.b.png"])
def test_extensions_with_and_without_dot_in_any_case(box, files, name):
    image = {"checksum": files["image_1"]["checksum"], "path": name}
    label = {"checksum": files["label_1"]["checksum"], "path": name[:1] + ".JSON"}
    assert box.post("/data_units/", unit({"image_1": image, "label_1": label}))["id"]


def test_a_spec_without_extensions_takes_anything(box, files):
    assert box.post("/data_units/", unit({"any": files["label_1"]}, 60))["id"]


def test_a_request_is_all_or_none(box, files):
    before = len(box.units(None))
    bad = unit({"image_1": files["image_1"]})
    answer = refusal(box, [unit(files), bad, unit(files, groups=3, meta=3)])
    assert answer == [
        {},
        {"files": ['"label_1" is required.']},
        {"meta": ["Expected an object or null."], "groups": ["Expected a list of texts."]},
    ]
    assert len(box.units(None)) == before


def test_a_refusal_as_texts(box, files):
    box.set(error_shape="strings")
    bad = unit({"image_1": files["image_1"]})
    assert refusal(box, [unit(files), bad]) == ['Data unit 2: files: "label_1" is required.']
    assert refusal(box, bad) == ['files: "label_1" is required.']


def test_meta_against_the_schema(box, files):
    for meta, words in (
        ({"patient": "P1", "age": 3}, None),
        (None, ["$: 'patient' is a required property"]),
        ({}, ["$: 'patient' is a required property"]),
        (
            {"patient": "X", "age": "3"},
            ["$.age: '3' is not of type 'integer'", "$.patient: 'X' does not match '^P[0-9]+$'"],
        ),
        ({"patient": "P1", "name": "x"}, ["$: Additional properties are not allowed ('name' was unexpected)"]),
    ):
        status, answer = box.request("POST", "/data_units/", unit(files, WITH_SCHEMA, meta=meta))
        assert (status, answer.get("meta")) == ((201, meta) if words is None else (400, words))


def test_a_schema_can_not_make_the_server_fetch(box):
    answer = refusal(box, unit({}, 59))
    assert answer["meta"][0].startswith("The collection's schema can't be applied")


def test_rules_can_be_left_out(box, files):
    box.set(enforces=["specs"])
    wrong = {"image_1": {"checksum": "0" * 40, "path": "x.gif"}}
    assert box.post("/data_units/", unit(wrong, WITH_SCHEMA, meta={"age": "old"}))["id"]
    assert refusal(box, unit({"imgae_1": files["image_1"]}))
    box.set(enforces=[])
    assert box.post("/data_units/", unit({"imgae_1": files["image_1"]}))["id"]


@pytest.mark.parametrize("body", [b'{"meta": NaN}', b"{", b'{"meta": {"a": "\\ud800"}}', b"\xff", b""])
def test_a_body_that_is_not_json(box, body):
    status, answer = box.request("POST", "/data_units/", body)
    assert status == 400 and answer["detail"].startswith("JSON parse error")


def test_an_empty_list_creates_nothing(box):
    assert box.request("POST", "/data_units/", []) == (201, [])


def test_the_answer_as_a_page(box, files):
    box.set(create_answer="results", tasks_answer="results")
    made = box.post("/data_units/", [unit(files)])
    assert made["count"] == 1 and made["results"][0]["id"]
    tasks = box.post("/tasks/", {"project": PROJECT, "data": [{"data_unit": made["results"][0]["id"]}]})
    assert tasks["results"][0]["data_unit"] == made["results"][0]["id"]


@pytest.mark.parametrize(
    "echo", [[], ["path"], ["checksum"], ["meta"], ["groups"], ["path", "checksum", "meta", "groups"]]
)
def test_echo(box, files, echo):
    box.set(echo=echo)
    made = box.post("/data_units/", unit(files, meta={"k": 1}, groups=["g"]))
    row = box.get(f"/data_units/{made['id']}/")
    assert made == row
    assert {key for key in ("meta", "groups") if key in row} == set(echo) & {"meta", "groups"}
    file = row["files"]["image_1"]
    assert {key for key in ("path", "checksum") if key in file} == set(echo) & {"path", "checksum"}
    dump = box.units()[-1]
    assert (dump["meta"], dump["groups"], dump["files"]["image_1"]["path"]) == ({"k": 1}, ["g"], "one/a.png")


def test_filters_and_their_switches(box, files):
    other = box.post("/data_units/", unit({"any": files["label_1"]}, 60, meta={"name": "needle"}))["id"]
    ids = [row["id"] for row in box.post("/data_units/", [unit(files)] * 3)]

    def found(query):
        return [row["id"] for row in box.get(f"/data_units/?{query}")["results"]]

    assert found("data_collection=60")[-1] == other
    assert found(f"data_collection={COLLECTION}&id__gt={other}") == ids
    assert found(f"id__gte={ids[1]}&id__lt={ids[2]}") == [ids[1]]
    assert found(f"id__lte={ids[0]}&ordering=-id")[:2] == [ids[0], other]
    assert found("search=needle") == [other]
    assert found(f"data_collection={COLLECTION}&ordering=-id&page_size=2") == [ids[2], ids[1]]

    box.set(honours=["data_collection"])
    assert found(f"data_collection={COLLECTION}&id__gt={other}&ordering=-id")[-3:] == ids
    box.set(honours=[])
    assert other in found("data_collection=999")


def test_the_size_of_a_page(box, files):
    box.post("/data_units/", [unit(files)] * 3)
    box.set(page_size=2, max_page_size=3)
    assert len(box.get("/data_units/")["results"]) == 2
    assert len(box.get("/data_units/?page_size=50")["results"]) == 3
    assert len(box.get("/data_collections/?page_size=1")["results"]) == 1


def test_collections_by_name(box):
    page = box.get("/data_collections/?search=ANY&expand=file_specifications")
    assert [row["file_specifications"][0]["name"] for row in page["results"]] == ["any"]


def test_tasks_are_held_to_their_project_and_data_units(box, files):
    made = box.post("/data_units/", unit(files))["id"]
    before = len(box.tasks())
    for body in (
        {"project": 99, "data": []},
        {"project": PROJECT, "data": {}},
        {"project": PROJECT, "data": [{"data_unit": made}, {"data_unit": 0}]},
        {"project": PROJECT, "data": [made]},
    ):
        assert box.request("POST", "/tasks/", body)[0] == 400
    assert len(box.tasks()) == before
    for _ in range(2):
        box.post("/tasks/", {"project": PROJECT, "data": [{"data_unit": made}]})
    page = box.get(f"/sdk/tasks/?project={PROJECT}&data_unit={made}&ordering=-id&page_size=1")
    assert page["count"] == 2, "the same task twice is two"
    assert page["results"][0]["id"] > box.get(page["next"].removeprefix(box.host))["results"][0]["id"]


def test_settings_that_do_not_exist_are_refused(box):
    status, answer = box.request("POST", "/_sandbox/settings", {"echos": []})
    assert status == 400 and "settings.echos: no such setting" in answer["detail"]
    status, answer = box.request("POST", "/_sandbox/settings", {"echo": ["all"]})
    assert status == 400 and "settings.echo: a list of any of path, checksum, meta, groups" in answer["detail"]
    assert box.settings()["echo"] == ["path", "checksum", "meta", "groups"]

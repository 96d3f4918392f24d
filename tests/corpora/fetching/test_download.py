"""Files over real HTTP: whole, resumed, verified, refused; on a server of this machine."""

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from megxl.corpora.fetching import download as room
from megxl.corpora.fetching import one_file
from megxl.corpora.fetching.download import fetch, plan_fetch
from megxl.corpora.fetching.manifest import Manifest
from megxl.corpora.fetching.origins import HttpSource
from megxl.corpora.fetching.remote import RemoteFile
from megxl.corpora.fetching.selection import Choice
from megxl.errors import InputError
from tests.corpora.fetching.server import FIF, hosted

ALL = Choice(patterns=("**",))
RNG = np.random.default_rng(0)
BIG = FIF + RNG.bytes(3_000_000)
FILES = {"README": b"about", "sub-01/a_meg.fif": BIG, "sub-02/b_events.tsv": b"onset\tword\n1\tNone\n"}

NAME = "sub-01/a_meg.fif"
OTHER = FIF + np.random.default_rng(1).bytes(3_000_000)  # of the same size
TAGS = {NAME: {"ETag": '"one"', "Last-Modified": "Mon, 03 Mar 2025 10:00:00 GMT"}}
DATES = {NAME: {"ETag": 'W/"weak"', "Last-Modified": "Mon, 03 Mar 2025 10:00:00 GMT"}}


class Listed(HttpSource):
    """The files of a server, as a client would list them."""

    def __init__(self, state, *, sizes=True, checksums=True):
        self.files = [
            RemoteFile(
                path=path,
                url=f"{state.url}/{path}",
                size=len(content) if sizes else None,
                checksum=hashlib.sha256(content).hexdigest() if checksums else None,
                algorithm="sha256" if checksums else None,
            )
            for path, content in state.files.items()
        ]

    def list(self, descend):
        return self.files


def run(source, root, choice=ALL, **options):
    plan = plan_fetch(source, root, choice)
    return fetch(source, plan, root, Manifest.of(root), pause_s=0.001, **options)


def holds(root, files):
    return all((root / path).read_bytes() == content for path, content in files.items())


def leftovers(root):
    return [path.name for path in root.rglob(".*.part*")]


def test_files_come_whole_and_the_manifest_says_so(tmp_path):
    with hosted(FILES) as state:
        steps = []
        result = run(Listed(state), tmp_path, advance=steps.append)
        assert sorted(result.done) == sorted(FILES) and holds(tmp_path, FILES) and not leftovers(tmp_path)
        assert sum(steps) == sum(map(len, FILES.values()))
        manifest = json.loads((tmp_path / ".megxl-fetch.json").read_text())
        assert manifest["files"]["sub-01/a_meg.fif"]["sha256"] == hashlib.sha256(BIG).hexdigest()
        # the second time nothing is asked for
        requests = len(state.requests)
        assert plan_fetch(Listed(state), tmp_path, ALL).missing == () and len(state.requests) == requests


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no-ranges"])
def test_a_connection_that_breaks_is_gone_on_with(tmp_path, ranges):
    with hosted(FILES, ranges=ranges, cut={"sub-01/a_meg.fif": [1_200_000, 700_000]}) as state:
        steps = []
        result = run(Listed(state), tmp_path, advance=steps.append)
        assert not result.failed and holds(tmp_path, FILES)
        assert sum(steps) == sum(map(len, FILES.values()))
        served = state.served["sub-01/a_meg.fif"]
        assert served == len(BIG) if ranges else served == len(BIG) + 1_900_000


def broken_off(state, root, *, after=2_000_000, **how):
    """Fetch until the big file breaks off as when a process is killed: its part and the note of it stay."""
    state.cut[NAME] = [after]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_file, "ATTEMPTS", 1)
        assert "bytes before the end" in run(Listed(state, **how), root).failed[NAME]
    assert (root / "sub-01" / ".a_meg.fif.part").stat().st_size == after
    state.served.clear()


@pytest.mark.parametrize(("checksums", "headers"), [(True, {}), (True, TAGS), (False, TAGS), (False, DATES)])
def test_a_killed_download_goes_on_where_it_was(tmp_path, checksums, headers):
    with hosted(FILES, headers=headers) as state:
        broken_off(state, tmp_path, checksums=checksums)
        steps = []
        result = run(Listed(state, checksums=checksums), tmp_path, advance=steps.append)
        assert not result.failed and holds(tmp_path, FILES) and not leftovers(tmp_path)
        assert state.served[NAME] == len(BIG) - 2_000_000 and sum(steps) == len(BIG)


def test_what_the_server_says_of_a_version_is_asked_with_and_kept(tmp_path):
    for headers, asked in ((TAGS, '"one"'), (DATES, "Mon, 03 Mar 2025 10:00:00 GMT")):
        root = tmp_path / asked[1:4]
        with hosted(FILES, headers=headers) as state:
            broken_off(state, root, checksums=False)
            run(Listed(state, checksums=False), root)
            assert [sent.get("If-Range") for name, sent in state.requests if name == NAME] == [None, asked]
            assert Manifest.of(root).files[NAME].version == asked


@pytest.mark.parametrize("careless", [False, True], ids=["if-range", "no-if-range"])
def test_two_versions_are_never_mixed(tmp_path, careless):
    with hosted(FILES, headers=TAGS, careless=careless) as state:
        broken_off(state, tmp_path, checksums=False)
        state.files[NAME], state.headers = OTHER, {NAME: {"ETag": '"two"'}}
        steps = []
        assert not run(Listed(state, checksums=False), tmp_path, advance=steps.append).failed
        assert (tmp_path / NAME).read_bytes() == OTHER and sum(steps) == len(OTHER)


def test_a_range_that_begins_elsewhere_is_not_added(tmp_path):
    with hosted(FILES, headers=TAGS, late=7) as state:
        broken_off(state, tmp_path, checksums=False)
        assert not run(Listed(state, checksums=False), tmp_path).failed and holds(tmp_path, FILES)


def test_a_part_of_another_address_is_not_gone_on_with(tmp_path):
    with hosted({**FILES, "new/a": OTHER}, headers={**TAGS, "new/a": TAGS[NAME]}) as state:
        broken_off(state, tmp_path, checksums=False)
        source = Listed(state, checksums=False)
        source.files = [replace(file, url=f"{state.url}/new/a") for file in source.files if file.path == NAME]
        assert not run(source, tmp_path).failed
        assert (tmp_path / NAME).read_bytes() == OTHER and state.served["new/a"] == len(OTHER)


def test_where_nothing_would_tell_a_mixture_the_start_is_gone_back_to(tmp_path):
    with hosted(FILES) as state:
        broken_off(state, tmp_path, checksums=False)
        state.files[NAME] = OTHER
        assert not run(Listed(state, checksums=False), tmp_path).failed
        assert (tmp_path / NAME).read_bytes() == OTHER and state.served[NAME] == len(OTHER)


def test_a_part_whose_origin_is_not_known_is_fetched_anew(tmp_path):
    with hosted(FILES, headers=TAGS) as state:
        (tmp_path / "sub-01").mkdir()
        part = tmp_path / "sub-01" / ".a_meg.fif.part"
        for note in (None, "{", "[1]"):
            part.write_bytes(OTHER)
            if note is not None:
                part.with_name(f"{part.name}.json").write_text(note)
            assert not run(Listed(state, checksums=False), tmp_path).failed and holds(tmp_path, FILES)
            (tmp_path / NAME).unlink()


def test_a_part_that_is_whole_is_not_asked_for_again(tmp_path):
    with hosted(FILES) as state:
        broken_off(state, tmp_path)
        (tmp_path / "sub-01" / ".a_meg.fif.part").write_bytes(BIG)
        state.requests.clear()
        assert not run(Listed(state), tmp_path).failed and holds(tmp_path, FILES) and not state.requests


def test_what_was_begun_of_another_version_is_thrown_away_and_fetched_anew(tmp_path):
    with hosted(FILES) as state:
        broken_off(state, tmp_path)
        (tmp_path / "sub-01" / ".a_meg.fif.part").write_bytes(FIF + b"x" * 1_999_992)
        assert not run(Listed(state), tmp_path).failed and holds(tmp_path, FILES)


def test_a_passing_error_of_the_server_is_tried_again(tmp_path):
    with hosted(FILES, status={"README": [503, 500]}) as state:
        assert not run(Listed(state), tmp_path).failed and holds(tmp_path, FILES)


def test_errors_are_told_by_file_and_the_others_are_fetched(tmp_path):
    with hosted(FILES, status={"README": [503] * 9, "sub-02/b_events.tsv": [403]}) as state:
        result = run(Listed(state), tmp_path)
        assert "HTTP 503 (5 attempts)" in result.failed["README"]
        assert "no access (HTTP 403)" in result.failed["sub-02/b_events.tsv"]
        assert result.done == ["sub-01/a_meg.fif"]
    with hosted(FILES) as state:
        again = run(Listed(state), tmp_path)
        assert not again.failed and holds(tmp_path, FILES) and state.served["sub-01/a_meg.fif"] == 0


@pytest.mark.parametrize(("sizes", "checksums"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_web_page_in_place_of_data_is_refused_by_name(tmp_path, sizes, checksums):
    with hosted(FILES) as state:
        source = Listed(state, sizes=sizes, checksums=checksums)
        state.files["sub-01/a_meg.fif"] = b"\n <!DOCTYPE html><html>Please log in</html>"
        result = run(source, tmp_path)
        assert "sub-01/a_meg.fif: a web page came in place of data" in result.failed["sub-01/a_meg.fif"]
        assert not (tmp_path / "sub-01/a_meg.fif").exists() and not leftovers(tmp_path)


def test_damaged_bytes_are_found_by_the_checksum(tmp_path):
    with hosted(FILES) as state:
        source = Listed(state)
        state.files["sub-01/a_meg.fif"] = BIG[:-1] + bytes([BIG[-1] ^ 1])
        assert "its sha256 is" in run(source, tmp_path).failed["sub-01/a_meg.fif"]
        assert not (tmp_path / "sub-01/a_meg.fif").exists()


def test_more_bytes_than_announced_are_refused(tmp_path):
    with hosted(FILES) as state:
        source = Listed(state, checksums=False)
        state.files["README"] = b"about more"
        assert "10 bytes came, 5 were announced" in run(source, tmp_path).failed["README"]


def test_files_without_a_size_come_too_and_never_from_the_middle(tmp_path):
    with hosted(FILES, cut={"sub-01/a_meg.fif": [1000]}) as state:
        (tmp_path / ".README.part").write_bytes(b"rub")
        assert not run(Listed(state, sizes=False, checksums=False), tmp_path).failed and holds(tmp_path, FILES)


def test_after_several_failures_no_more_is_tried(tmp_path):
    files = {f"sub-01/{number}.txt": b"x" for number in range(40)}
    with hosted(files, status={name: [403] for name in files}) as state:
        result = run(Listed(state), tmp_path, workers=1)
        assert len(result.failed) == room.MOST_FAILURES == len(state.requests)


def test_files_that_came_another_way_are_verified_and_taken(tmp_path):
    with hosted(FILES) as state:
        for path, content in FILES.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(content)
        (tmp_path / "README").write_bytes(b"About")  # somebody's own
        assert not run(Listed(state), tmp_path).failed and holds(tmp_path, FILES)
        assert set(state.served) == {"README"} and (tmp_path / "README.old").read_bytes() == b"About"


def test_a_file_that_was_changed_since_is_fetched_again(tmp_path):
    for checksums in (True, False):
        with hosted(FILES) as state:
            source = Listed(state, checksums=checksums)
            run(source, tmp_path)
            (tmp_path / "README").write_bytes(b"About")
            assert [file.path for file in plan_fetch(source, tmp_path, ALL).missing] == ["README"]
            assert run(source, tmp_path).done == ["README"] and holds(tmp_path, FILES)


def test_a_file_that_was_touched_alone_is_not_fetched_again(tmp_path):
    with hosted(FILES) as state:
        source = Listed(state, checksums=False)
        run(source, tmp_path)
        state.served.clear()
        os.utime(tmp_path / "README", (1, 1))
        assert run(source, tmp_path).done == ["README"] and not state.served
        assert plan_fetch(source, tmp_path, ALL).missing == ()


def test_a_new_version_at_the_source_is_fetched(tmp_path):
    with hosted(dict(FILES)) as state:
        run(Listed(state), tmp_path)
        state.files["README"] = b"aBout"
        assert not run(Listed(state), tmp_path).failed and (tmp_path / "README").read_bytes() == b"aBout"


def test_a_new_version_of_the_same_size_at_another_address_is_fetched(tmp_path):
    with hosted({**FILES, "v2": b"aBout"}) as state:
        source = Listed(state, checksums=False)
        run(source, tmp_path)
        source.files = [replace(f, url=f"{state.url}/v2") if f.path == "README" else f for f in source.files]
        assert run(source, tmp_path).done == ["README"] and (tmp_path / "README").read_bytes() == b"aBout"
        assert (tmp_path / "README.old").read_bytes() == b"about"


def test_who_asks_is_not_told_to_the_host_of_a_redirection(tmp_path):
    class Secret(Listed):
        def headers(self):
            return {"Authorization": "Bearer secret"}

    with hosted(FILES) as end, hosted(FILES, redirect=end.url) as state:
        assert not run(Secret(state), tmp_path).failed
        assert all(headers["Authorization"] == "Bearer secret" for _, headers in state.requests)
        assert end.requests and all("Authorization" not in headers for _, headers in end.requests)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a//b", "C:/x", "a\\..\\x"])
def test_files_outside_of_the_root_are_refused(tmp_path, path):
    with hosted(FILES) as state:
        source = Listed(state)
        source.files.append(RemoteFile(path=path))
        with pytest.raises(InputError, match="outside of the corpus"):
            plan_fetch(source, tmp_path, ALL)


def test_too_little_space_is_said_before(tmp_path):
    with hosted(FILES) as state:
        source = Listed(state)
        source.files.append(RemoteFile(path="a/b", size=10**18))
        with pytest.raises(InputError, match="bytes of space"):
            run(source, tmp_path)
        assert not state.requests


def test_an_interrupt_keeps_what_came(tmp_path):
    def interrupted(n_bytes):
        raise KeyboardInterrupt

    with hosted(FILES) as state:
        with pytest.raises(KeyboardInterrupt):
            run(Listed(state), tmp_path, advance=interrupted, workers=1)
        assert (tmp_path / ".megxl-fetch.json").is_file()
        assert not run(Listed(state), tmp_path).failed and holds(tmp_path, FILES)

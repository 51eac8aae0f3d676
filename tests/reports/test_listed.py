"""Every report that the documentation lists is tried by a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs" / "reports.md"
_REPORT = re.compile(r"\(([\w.-]+/[\w.-]+#\d+)\)")

TRIED = {
    "Sonarr/Sonarr#8414": "end_to_end/test_twins.py::test_a_slash_too_many_is_none",
    "l3uddz/plex_autoscan#148": (
        "end_to_end/test_scanning.py::test_plex_is_asked_in_its_own_spelling"
    ),
    "dan-online/autopulse#600": (
        "reports/test_reports.py::test_a_share_of_windows_is_mapped"
    ),
    "Cloudbox/autoscan#102": (
        "reports/test_reports.py::test_libraries_whose_paths_begin_alike"
    ),
    "pushingkarmaorg/python-plexapi#1324": (
        "reports/test_reports.py::test_two_libraries_of_one_title"
    ),
    "Tautulli/Tautulli#2767": (
        "end_to_end/test_moved_items.py"
        "::test_a_rating_key_that_is_used_again_is_another_film"
    ),
    "PAhelper/PhoenixAdult.bundle#507": (
        "catalog/test_catalog.py::test_an_item_two_scenes_claim"
    ),
    "Tautulli/Tautulli#1392": (
        "reports/test_reports.py::test_an_event_before_the_item_can_be_read"
    ),
    "Maintainerr/Maintainerr#3353": (
        "end_to_end/test_outages.py::test_a_proxy_that_answers_404_erases_nothing"
    ),
    "Cloudbox/autoscan#52": (
        "reconcile/test_reconcile.py::test_an_unmounted_share_wipes_nothing"
    ),
    "gboudreau/XBMCnfoTVImporter.bundle#130": (
        "reports/test_reports.py::test_a_date_that_plex_shows_otherwise"
    ),
    "pushingkarmaorg/python-plexapi#675": (
        "catalog/test_odd_rows.py::test_one_odd_item_is_left_out_and_named"
    ),
    "pushingkarmaorg/python-plexapi#1101": (
        "end_to_end/test_ownership.py::test_a_tag_with_a_comma_takes_no_other_along"
    ),
    "gboudreau/XBMCnfoMoviesImporter.bundle#7": (
        "reports/test_reports.py::test_blanks_around_a_name_make_no_other_tag"
    ),
    "pushingkarmaorg/python-plexapi#1450": (
        "plex/test_wire.py::test_what_no_parser_accepts_is_read_all_the_same"
    ),
    "pushingkarmaorg/python-plexapi#816": (
        "end_to_end/test_delivery.py::test_a_refresh_by_an_agent_takes_nothing_back"
    ),
    "Kometa-Team/Kometa#2160": (
        "reports/test_reports.py::test_a_large_picture_is_made_smaller"
    ),
    "Maintainerr/Maintainerr#3482": (
        "reports/test_reports.py::test_a_proxy_that_refuses_uploads_is_named"
    ),
    "RemiRigal/Plex-Auto-Languages#81": (
        "reports/test_reports.py::test_a_socket_that_falls_silent_is_opened_again"
    ),
    "Taxel/PlexTraktSync#609": (
        "reports/test_reports.py::test_a_proxy_that_refuses_the_socket"
    ),
    "plexinc/plex-media-player#135": (
        "reports/test_reports.py::test_tokens_of_inner_urls_are_masked"
    ),
    "stashapp/stash#7011": (
        "push/test_hook_lines.py::test_a_bulk_edit_is_taken_as_one"
    ),
    "carrotwaxr/peek-stash-browser#206": (
        "reconcile/test_changes.py::test_a_change_is_found_once_in_every_zone"
    ),
    "stashapp/stash#5252": (
        "end_to_end/test_outages.py::test_a_stash_whose_database_is_locked_is_down"
    ),
}


def test_the_page_lists_what_is_tried():
    assert set(_REPORT.findall(PAGE.read_text(encoding="utf-8"))) == set(TRIED)


@pytest.mark.parametrize("test", TRIED.values(), ids=TRIED)
def test_it_is_a_test(test):
    file, _, name = test.partition("::")
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {one.name for one in tree.body if isinstance(one, functions)}

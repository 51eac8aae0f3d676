"""Where the pretend Stash answers otherwise than the recorded one, and why.

`tests.stash.test_recorded` holds the list: what differs must be here, and what is here
must differ.
"""

from __future__ import annotations

# Reason -> the names of records.
DIFFERENCES: dict[str, str] = {
    "the schema and the build are its own": """
        probe version
    """,
    "a field or an argument that nobody of ours asks for": """
        stats-empty scene-fresh scenes-ids-order scenes-scene-ids
        scenes-scene-ids-unknown streams streams-of-scene streams-unknown
        file-by-path file-by-path-other-case file-by-id-unknown file-no-args
        files folder-by-path folder-unknown duplicates totals path-regex
        path-regex-broken filter-checksum-is-null filter-date-is-null
        filter-duration filter-resolution filter-tag-count file-of-destroyed
        scene-full performers-ids-unknown studios-ids-unknown tag-unknown
        tags-ids-unknown group-unknown groups-ids-unknown filter-date-greater
        filter-date-equals-year filter-markers filter-o-counter
        filter-play-count performers-of-tag-filter tags-sorted-scenes-count
        tag-counts markers-found stats-after login-urls
    """,
    "an order that nobody of ours asks for, ties included": """
        page-sort-title page-sort-path page-sort-path-desc page-sort-filesize
        page-sort-file-mod-time page-sort-tag-count page-sort-title-after
        page-sort-date-after
    """,
    "a number that is no number of GraphQL": """
        page-per-page-text page-per-page-too-big
    """,
    "a search for words, which nobody of ours does": """
        search-oshash search-none search-title search-two-words
    """,
    "its data is made up, or was changed by a change that only the real one makes": """
        filter-path-regex filter-path-regex-not primary-file scene-without-file
        find-whole scene-after-parts scene-after-destroys
    """,
    "another library finds the fault, or another one first": """
        invalid-leaf-with-selection post-body-variables-array
    """,
    "a page or a header for browsers": """
        options-cors unknown-file login-css login-post-wrong login-post-empty
        login-post-right login-options-cors
    """,
    "a file that nobody of ours fetches": """
        scene-caption-none scene-chapters-none group-back-none
        marker-screenshot-not-made chapters
    """,
    "a change that the pretend Stash does not take; it has methods for that": """
        create-tag create-tag-plain create-tag-child create-tag-numbers
        create-tag-same-name create-tag-same-name-case create-tag-name-is-alias
        create-tag-blank create-studio create-studio-child
        create-studio-parent-unknown create-studio-same-name create-performer
        create-performer-plain create-performer-same-name
        create-performer-disambiguated create-performer-blank
        create-performer-bad-date create-performer-custom-fields create-group
        create-group-plain create-group-same-name update-scene
        update-scene-clear update-scene-empty-texts update-scene-date-bad
        update-scene-date-words update-scene-date-time update-scene-date-short
        update-scene-bad-id update-scene-unknown-tag update-scene-unknown-studio
        update-scene-unknown-performer update-scene-bad-tag
        update-scene-twice-tag update-scene-cover update-scene-cover-broken
        update-scene-primary-file-unknown scenes-update
        scenes-update-one-unknown bulk-update bulk-update-remove
        bulk-update-unknown bulk-update-none scene-create-no-title scene-create
        marker-create marker-create-two marker-create-unknown-scene
        marker-create-unknown-tag add-play add-o add-o-at add-o-unknown
        save-activity increment-o merge-into-itself merge-unknown merge destroy
        destroy-again scenes-destroy-one-unknown update-tag update-tag-unknown
        update-tag-blank update-tag-own-parent update-tag-cycle update-performer
        update-performer-unknown update-performer-image-gone update-studio
        update-studio-own-parent update-studio-unknown update-group
        update-group-unknown tags-merge tags-merge-unknown
        tags-merge-into-itself tag-destroy tag-destroy-unknown performer-destroy
        performer-destroy-unknown performer-merge studio-destroy group-destroy
        marker-destroy marker-destroy-unknown
    """,
    "a listing without an order, which nobody of ours asks for": """
        parts-performer-bare parts-tag-bare parts-group-bare tags-sorted
    """,
}

/* The parts of the page that list things: gaps, dead letters, outages. */
(function () {
  "use strict";

  const ui = window.stash2plexd;
  if (!ui) return;
  const {
    api,
    e,
    React,
    ROWS,
    record,
    list,
    number,
    figure,
    text,
    counted,
    spelled,
    word,
    When,
    Said,
    Facts,
    Rows,
    Mark,
    StashLink,
    PlexLink,
    Section,
    Action,
    Task,
    Tasks,
  } = ui;
  const { Button } = api.libraries.Bootstrap;

  // --- gaps -------------------------------------------------------------------------

  const KINDS = {
    empty:
      "Plex shows nothing of a scene that has something to show. A delivery mends it.",
    stale: "The scene changed after it was delivered. A delivery mends it.",
    drift: "Plex shows something else than was written there. A delivery mends it.",
    missing_in_plex: "Stash has the scene, but Plex never got its file. Scan in Plex.",
    missing_in_stash: "Plex has the file, but Stash has no scene of it.",
    unmapped: "No path rule covers the files, so they cannot be compared. Add a rule.",
    ambiguous: "Several items or scenes claim the same file, so nothing was written.",
    picture: "The text was delivered, the picture was not. The detail says why.",
  };
  const meaningOf = (kind) =>
    KINDS.hasOwnProperty(kind)
      ? KINDS[kind]
      : "A kind of gap that is newer than this page.";

  function Gaps({ counts, found, machine, view, of, turning, setView }) {
    const kinds = Object.keys(counts).filter((kind) => /^[a-z0-9_]+$/.test(kind));
    const choose = (kind) => setView({ kind, gaps_offset: 0 });
    const all = kinds.reduce((sum, kind) => sum + number(counts[kind]), 0);
    const filter = (kind, name, count) =>
      e(
        Button,
        {
          key: name,
          size: "sm",
          variant: view.kind === kind ? "primary" : "secondary",
          "aria-pressed": view.kind === kind,
          title: kind ? meaningOf(kind) : "Every kind of gap",
          onClick: () => choose(kind),
        },
        name,
        " ",
        e("span", { className: "badge badge-dark" }, figure(count))
      );
    const rows = list(found.gaps)
      .map(record)
      .map((gap, index) => ({
        key: index,
        cells: [
          e("span", { title: meaningOf(gap.kind) }, word(gap.kind)),
          e(Whose, { gap, machine }),
          e(
            React.Fragment,
            null,
            e(Said, { className: "stash2plexd-path" }, gap.path),
            e("br"),
            e(Said, { className: "stash2plexd-note" }, gap.detail)
          ),
          e(When, { at: gap.first_seen }),
        ],
      }));
    return e(
      Section,
      { id: "gaps", title: "Gaps" },
      e(
        "div",
        { className: "stash2plexd-tasks", role: "group", "aria-label": "Kind of gap" },
        filter(undefined, "all", all),
        kinds.map((kind) => filter(kind, word(kind), counts[kind]))
      ),
      e(
        "p",
        { className: "stash2plexd-note" },
        view.kind
          ? meaningOf(view.kind)
          : "What is not in step. A gap closes by itself once it is mended."
      ),
      rows.length
        ? e(Rows, {
            label: "Gaps",
            busy: turning,
            columns: ["Kind", "Whose", "File", "Since"],
            rows,
          })
        : e("p", null, "No gaps."),
      e(Pages, {
        what: "gaps",
        total: found.total,
        offset: of.gaps_offset,
        turning,
        onTurn: (gaps_offset) => setView({ gaps_offset }),
      })
    );
  }

  function Whose({ gap, machine }) {
    const scene = gap.scene ? e(StashLink, { kind: "scene", id: gap.scene }) : null;
    const item = gap.item ? e(PlexLink, { machine, item: gap.item }) : null;
    if (!scene && !item) return "a file";
    return e(
      "span",
      { className: "stash2plexd-links" },
      scene,
      scene && item ? " " : null,
      item
    );
  }

  /** Turns the pages of a list; goes back by itself when the list got shorter. */
  function Pages({ what, total, offset, turning, onTurn }) {
    const all = number(total);
    const last = Math.max(0, Math.ceil(all / ROWS) - 1) * ROWS;
    React.useEffect(() => {
      if (!turning && typeof total === "number" && offset > last) onTurn(last);
    }, [turning, total, offset]);
    if (all <= ROWS && !offset) return null;
    const turn = (name, to) => {
      const possible = to >= 0 && to < all;
      return e(
        Action,
        {
          label: `${name} ${what}`,
          idle: turning || !possible,
          onAct: () => onTurn(to),
        },
        name
      );
    };
    return e(
      "nav",
      { className: "stash2plexd-pages", "aria-label": `Pages of ${what}` },
      turn("Newer", offset - ROWS),
      e(
        "span",
        { "aria-live": "polite" },
        `${figure(Math.min(offset + 1, all))}–${figure(Math.min(offset + ROWS, all))} of ${figure(all)}`
      ),
      turn("Older", offset + ROWS)
    );
  }

  // --- dead letters -----------------------------------------------------------------

  function DeadLetters({ found, of, turning, setView, tasks }) {
    const total = number(found.total);
    const retry = (one) => ({ mode: "dead_retry", scene_ids: [Number(one.id)] });
    const rows = list(found.dead)
      .map(record)
      .map((one, index) => ({
        key: `${one.kind}-${one.id}-${index}`,
        cells: [
          e(StashLink, { kind: one.kind, id: one.id }),
          e(
            React.Fragment,
            null,
            e("strong", null, word(one.code)),
            e("br"),
            e(Said, { className: "stash2plexd-note" }, one.error)
          ),
          figure(one.attempts),
          e(When, { at: one.failed_at }),
          one.kind === "scene" && ui.isNumber(one.id)
            ? e(
                Action,
                {
                  label: `Retry scene ${one.id}`,
                  busy: tasks.isBusy(retry(one)),
                  onAct: () => tasks.start("Retry Dead Letters", retry(one)),
                },
                "Retry"
              )
            : "–",
        ],
      }));
    const verb = "Forget them";
    return e(
      Section,
      { id: "dead", title: "Dead letters" },
      e(
        "p",
        { className: "stash2plexd-note" },
        "What was given up, and why. A new edit in Stash tries again by itself."
      ),
      rows.length
        ? e(Rows, {
            label: "Dead letters",
            busy: turning,
            columns: ["What", "Reason", "Attempts", "Last failure", "Again"],
            rows,
          })
        : e("p", null, "No dead letters."),
      e(Pages, {
        what: "dead letters",
        total: found.total,
        offset: of.dead_offset,
        turning,
        onTurn: (dead_offset) => setView({ dead_offset }),
      }),
      e(
        Tasks,
        null,
        e(Task, { tasks, name: "Retry Dead Letters", args: { mode: "dead_retry" } }),
        e(Task, { tasks, name: "Recover Outage Failures", args: { mode: "recover" } }),
        e(Task, {
          tasks,
          name: "Purge Old Dead Letters",
          args: { mode: "dead_purge" },
          danger: {
            title: "Purge Old Dead Letters",
            body: "This forgets what was given up long ago (queue.dead_retention_days).",
            verb,
          },
        }),
        e(Task, {
          tasks,
          name: "Clear Dead Letters",
          args: { mode: "dead_clear" },
          danger: {
            title: "Clear Dead Letters",
            body:
              `This forgets what was given up: ${counted(total, "dead letter")} at the` +
              " last look.",
            verb,
          },
        })
      )
    );
  }

  // --- outages ----------------------------------------------------------------------

  const DAY = 86400000;
  const SPANS = [
    [1, "24 hours"],
    [7, "7 days"],
    [30, "30 days"],
    [90, "90 days"],
    [365, "12 months"],
  ];

  function Outages({ found }) {
    const all = list(found.outages).map(record);
    const current = record(found.current);
    const share =
      typeof found.availability === "number"
        ? `${(100 * found.availability).toFixed(3)} %`
        : "–";
    return e(
      Section,
      {
        id: "outages",
        title: "Outages",
        aside: current.service
          ? e(Mark, { state: "down" }, `${text(current.service)} is away`)
          : null,
      },
      e(Facts, {
        rows: [
          ["Outages of Plex", figure(found.count)],
          ["Availability", share],
          ["Mean time to repair", spelled(found.mttr_seconds)],
          ["Mean time between failures", spelled(found.mtbf_seconds)],
          current.service
            ? [
                "Going on",
                e(
                  React.Fragment,
                  null,
                  text(current.service),
                  " since ",
                  e(When, { at: current.started_at }),
                  ": ",
                  e(Said, null, current.cause)
                ),
              ]
            : null,
        ],
      }),
      all.length
        ? e(Timeline, { outages: all })
        : e("p", null, "No outages are known."),
      all.length ? e(OutageRows, { outages: all }) : null
    );
  }

  function Timeline({ outages }) {
    const now = Date.now();
    const starts = outages.map((one) => Date.parse(one.started_at)).filter(isFinite);
    const oldest = Math.min(now, ...starts);
    const [days, name] =
      SPANS.find((span) => now - oldest <= span[0] * DAY) || SPANS[4];
    const begin = now - days * DAY;
    const at = (moment) =>
      100 * Math.min(1, Math.max(0, (moment - begin) / (now - begin)));
    const services = Array.from(
      new Set(outages.map((one) => text(one.service)))
    ).sort();
    const strip = (service) => {
      const own = outages.filter((one) => text(one.service) === service);
      const boxes = own.map((one, index) => {
        const from = at(Date.parse(one.started_at));
        const to = at(one.ended_at ? Date.parse(one.ended_at) : now);
        if (!isFinite(from) || !isFinite(to)) return null;
        const width = Math.max(0.6, to - from);
        return e("rect", {
          key: index,
          x: Math.min(from, 100 - width),
          y: 0,
          width,
          height: 10,
        });
      });
      const label = `${service}: ${counted(own.length, "outage")} in the last ${name}`;
      return e(
        "div",
        { key: service, className: "stash2plexd-strip" },
        e("span", null, service),
        e(
          "svg",
          {
            role: "img",
            "aria-label": label,
            viewBox: "0 0 100 10",
            preserveAspectRatio: "none",
          },
          boxes
        )
      );
    };
    return e(
      "div",
      { className: "stash2plexd-timeline" },
      services.map(strip),
      e(
        "div",
        { className: "stash2plexd-axis", "aria-hidden": true },
        e("span", null, `${name} ago`),
        e("span", null, "now")
      )
    );
  }

  function OutageRows({ outages }) {
    const rows = outages.map((one, index) => ({
      key: index,
      cells: [
        text(one.service),
        e(When, { at: one.started_at }),
        one.ended_at ? spelled(one.seconds) : `${spelled(one.seconds)}, goes on`,
        figure(one.jobs),
        e(Said, null, one.cause),
      ],
    }));
    const columns = ["Server", "Started", "Lasted", "Jobs waited", "Cause"];
    return e(
      "details",
      null,
      e("summary", null, `All outages (${figure(outages.length)})`),
      e(Rows, { label: "Outages", columns, rows })
    );
  }

  Object.assign(ui, { Gaps, DeadLetters, Outages });
})();

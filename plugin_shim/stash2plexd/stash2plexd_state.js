/* The parts of the page about how things go: servers, queue, comparisons, set-up. */
(function () {
  "use strict";

  const ui = window.stash2plexd;
  if (!ui) return;
  const {
    api,
    e,
    React,
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
    Section,
    Task,
    Tasks,
  } = ui;
  const { Alert } = api.libraries.Bootstrap;

  // --- how everything is ------------------------------------------------------------

  /** One sentence on top: the worst that is known. */
  function summary(answer, error) {
    if (error) return ["fail", "The daemon could not be asked."];
    const status = record(answer.status);
    const [plex, stash] = [record(status.plex), record(status.stash)];
    const queue = record(status.queue);
    if (plex.state === "denied") return ["fail", "Plex refuses our token."];
    if (stash.state === "denied") return ["fail", "Stash refuses our key."];
    if (plex.state === "down" || (plex.breaker && plex.breaker !== "closed")) {
      return ["fail", "Plex is away. Everything waits for it, and nothing is lost."];
    }
    if (stash.state === "down") return ["fail", "Stash does not answer the daemon."];
    if (record(status.catalog).brake) return ["warn", "A comparison was stopped."];
    const left = number(queue.queued) + number(queue.running);
    if (left) return ["running", `Delivering: ${counted(left, "job")} to go.`];
    if (record(status.reconcile).running)
      return ["running", "Comparing both libraries."];
    const gaps = Object.values(record(status.gaps)).reduce(
      (sum, one) => sum + number(one),
      0
    );
    const open = [
      number(queue.dead) ? counted(queue.dead, "dead letter") : null,
      gaps ? counted(gaps, "gap") : null,
      number(queue.waiting) ? `${counted(queue.waiting, "job")} waiting` : null,
    ].filter(Boolean);
    if (open.length) return ["warn", `Not in step yet: ${open.join(" and ")}.`];
    if (!record(status.catalog).refreshed_at || plex.state === "unknown")
      return ["running", "Just started: both libraries are being read."];
    return ["ok", "Plex shows what Stash knows."];
  }

  function PlexCard({ plex, provider }) {
    return e(
      Section,
      { id: "plex", title: "Plex", aside: e(Mark, { state: plex.state }) },
      e(Facts, {
        rows: [
          ["Version", e(Said, null, plex.version)],
          ["Libraries", e(Said, null, list(plex.libraries))],
          ["Circuit", circuit(plex.breaker)],
          ["Latency", latency(plex)],
          ["Listening", text(plex.listening)],
          plex.error ? ["Error", e(Said, null, plex.error)] : null,
        ],
      }),
      e("h3", { className: "stash2plexd-small" }, "What Plex asked us"),
      e(Facts, {
        rows: [
          ["Matched", figure(provider.matched)],
          ["Not matched", figure(provider.unmatched)],
          ["Failed", figure(provider.failed)],
          ["Last request", e(When, { at: provider.last_request_at })],
        ],
      })
    );
  }

  const CIRCUITS = {
    closed: "closed (normal)",
    open: "open (all waits)",
    half_open: "half open (trying)",
  };
  const circuit = (state) =>
    CIRCUITS.hasOwnProperty(state) ? CIRCUITS[state] : word(state);

  function StashCard({ stash, catalog }) {
    return e(
      Section,
      { id: "stash", title: "Stash", aside: e(Mark, { state: stash.state }) },
      e(Facts, {
        rows: [
          ["Version", e(Said, null, stash.version)],
          ["Latency", latency(stash)],
          stash.error ? ["Error", e(Said, null, stash.error)] : null,
          ["Hooks", hooksSaid(record(stash.hooks))],
          ["Last change", e(When, { at: record(stash.hooks).last_at })],
          ["Scenes", figure(catalog.scenes)],
          ["Items in Plex", figure(catalog.items)],
          ["Catalogue read", e(When, { at: catalog.refreshed_at })],
        ],
      })
    );
  }

  const HOOKS = { "in-process": "inside Stash", http: "over HTTP" };

  function hooksSaid(hooks) {
    const kinds = list(hooks.kinds);
    if (!Array.isArray(hooks.kinds)) return "–";
    const named = kinds.map((one) => (HOOKS.hasOwnProperty(one) ? HOOKS[one] : text(one)));
    const unheard = kinds.includes("in-process") && !hooks.listening;
    return (named.join(" and ") || "none") + (unheard ? ", not heard now" : "");
  }

  /** What is wrong with how changes are told of, and what mends it. */
  function HookFaults({ hooks }) {
    return list(hooks.faults)
      .map(record)
      .map((one) =>
        e(
          Alert,
          { key: text(one.code), variant: "warning" },
          e(Said, null, one.message),
          e("div", { className: "stash2plexd-fix" }, e(Said, null, one.fix)),
          one.code === "plugin_version" ? e(ui.Update) : null
        )
      );
  }

  function latency(server) {
    return typeof server.latency_ms === "number"
      ? `${figure(server.latency_ms)} ms`
      : "–";
  }

  function QueueCard({ queue, tasks }) {
    return e(
      Section,
      { id: "queue", title: "Queue" },
      e(Facts, {
        rows: [
          ["Due now", figure(queue.queued)],
          ["Waiting", figure(queue.waiting)],
          ["Running", figure(queue.running)],
          ["Given up", figure(queue.dead)],
          ["Oldest", spelled(queue.oldest_seconds)],
        ],
      }),
      e(
        Tasks,
        null,
        e(Task, { tasks, name: "Process Queue", args: { mode: "process_queue" } }),
        e(Task, {
          tasks,
          name: "Clear Pending Queue",
          args: { mode: "clear_queue" },
          danger: {
            title: "Clear Pending Queue",
            body:
              `This drops what is queued or waits:` +
              ` ${counted(number(queue.queued) + number(queue.waiting), "job")} at the` +
              ` last look. Later changes are not affected.`,
            verb: "Drop them",
          },
        })
      )
    );
  }

  function DeliveriesCard({ done, tasks }) {
    return e(
      Section,
      { id: "deliveries", title: "Deliveries" },
      e(Facts, {
        rows: [
          ["Written", figure(done.written)],
          ["Unchanged", figure(done.unchanged)],
          ["Skipped", figure(done.skipped)],
          ["Failed", figure(done.failed)],
        ],
      }),
      e("p", { className: "stash2plexd-note" }, "Since the daemon started."),
      e(
        Tasks,
        null,
        e(Task, {
          tasks,
          name: "Sync Recent Scenes",
          args: { mode: "sync", scope: "24h" },
        }),
        e(Task, {
          tasks,
          name: "Sync All Scenes",
          args: { mode: "sync", scope: "all" },
          danger: {
            title: "Sync All Scenes",
            body:
              "This delivers every scene to Plex. In a large library that takes long;" +
              " fresh edits still go first. A comparison is enough to mend what differs.",
            verb: "Sync them all",
          },
        })
      )
    );
  }

  // --- comparisons ------------------------------------------------------------------

  const SCOPES = { all: "everything", "24h": "last 24 hours", "7d": "last 7 days" };
  const scopeOf = (run) =>
    SCOPES.hasOwnProperty(run.scope) ? SCOPES[run.scope] : text(run.scope);
  const COMPARE = [
    ["Reconcile (Last 24 Hours)", "24h"],
    ["Reconcile (Last 7 Days)", "7d"],
    ["Reconcile (All)", "all"],
  ];

  function Comparisons({ compared, brake, tasks }) {
    const [current, last] = [record(compared.current), record(compared.last)];
    const history = list(compared.history).map(record);
    return e(
      Section,
      {
        id: "reconcile",
        title: "Comparison of both libraries",
        aside: compared.running ? e(Mark, { state: "running" }) : null,
      },
      brake ? e(Brake, { brake, tasks }) : null,
      compared.running ? e(Running, { run: current }) : null,
      e(Facts, {
        rows: [
          ["Last", last.run ? e(RunSaid, { run: last }) : "none yet"],
          last.error ? ["Error", e(Said, null, last.error)] : null,
          [
            "Next",
            compared.next_at ? e(When, { at: compared.next_at }) : "not scheduled",
          ],
        ],
      }),
      e(
        Tasks,
        null,
        COMPARE.map(([name, scope]) =>
          e(Task, { key: scope, tasks, name, args: { mode: "reconcile", scope } })
        )
      ),
      history.length > 1 ? e(History, { history }) : null
    );
  }

  function Brake({ brake, tasks }) {
    return e(
      Alert,
      { variant: "warning" },
      e("p", null, e("strong", null, "Stopped: "), e(Said, null, brake)),
      e(Task, {
        tasks,
        name: "Reconcile (All)",
        args: { mode: "reconcile", scope: "all", force: true },
        variant: "warning",
        danger: {
          title: "Compare all the same",
          body:
            "Whatever is missing now will be forgotten. Only go on if the files really" +
            " were deleted, and no share is merely unmounted.",
          verb: "Go on",
        },
        children: "Go on all the same",
      })
    );
  }

  function Running({ run }) {
    // How the daemon says it: the first half of the way is reading.
    const total = Math.max(number(run.items), number(run.scenes), 1);
    const share = Math.min(0.95, number(run.scenes) / total / 2);
    const percent = Math.max(5, Math.round(share * 100));
    const far = `${counted(run.scenes, "scene")}, ${counted(run.items, "item")} so far`;
    return e(
      "div",
      { className: "stash2plexd-running" },
      e(
        "div",
        { className: "progress" },
        e("div", {
          className: "progress-bar progress-bar-striped progress-bar-animated",
          role: "progressbar",
          "aria-label": "Comparison",
          "aria-valuemin": 0,
          "aria-valuemax": 100,
          "aria-valuenow": percent,
          style: { width: `${percent}%` },
        })
      ),
      e(
        "p",
        { className: "stash2plexd-note" },
        "Comparing ",
        scopeOf(run),
        ", since ",
        e(When, { at: run.started_at }),
        "; ",
        far
      )
    );
  }

  function RunSaid({ run }) {
    const found = Object.values(record(run.gaps)).reduce(
      (sum, one) => sum + number(one),
      0
    );
    return e(
      React.Fragment,
      null,
      e(Mark, { state: run.state }),
      " ",
      e(When, { at: run.finished_at || run.started_at }),
      `, ${scopeOf(run)}, took ${spelled(took(run))}: `,
      `${counted(run.scenes, "scene")} and ${counted(run.items, "item")} compared, `,
      `${counted(found, "gap")} found, ${enqueued(run)}`
    );
  }

  function enqueued(run) {
    return run.dry_run
      ? `${counted(run.would_enqueue, "job")} would be enqueued`
      : `${counted(run.enqueued, "job")} enqueued`;
  }

  function took(run) {
    return (new Date(run.finished_at) - new Date(run.started_at)) / 1000;
  }

  function History({ history }) {
    const rows = history.map((run, index) => ({
      key: index,
      cells: [
        e(When, { at: run.started_at }),
        scopeOf(run),
        e(Mark, { state: run.state }),
        spelled(took(run)),
        figure(run.enqueued),
        run.error ? e(Said, null, run.error) : "–",
      ],
    }));
    const columns = ["Started", "What", "Result", "Took", "Enqueued", "Error"];
    return e(
      "details",
      null,
      e("summary", null, `Earlier comparisons (${figure(history.length)})`),
      e(Rows, { label: "Comparisons", columns, rows })
    );
  }

  // --- health -----------------------------------------------------------------------

  const WORST_FIRST = { fail: 0, warn: 1, ok: 2 };

  function Health({ report, tasks, onReport }) {
    const rank = (one) =>
      WORST_FIRST.hasOwnProperty(one.level) ? WORST_FIRST[one.level] : 0;
    const findings = list(record(report).findings).map(record);
    findings.sort((one, other) => rank(one) - rank(other));
    const good = findings.filter((one) => one.level === "ok");
    const bad = findings.filter((one) => one.level !== "ok");
    return e(
      Section,
      { id: "health", title: "Health" },
      e(
        "p",
        { className: "stash2plexd-note" },
        "Looks for what is wrong with the set-up, and says how to mend it. This may take" +
          " some seconds."
      ),
      e(
        Tasks,
        null,
        e(Task, {
          tasks,
          name: "Health Check",
          args: { mode: "health" },
          then: onReport,
        })
      ),
      bad.length ? e(Findings, { findings: bad }) : null,
      good.length
        ? e(
            "details",
            null,
            e("summary", null, `What is well (${figure(good.length)})`),
            e(Findings, { findings: good })
          )
        : null
    );
  }

  function Findings({ findings }) {
    const steps = (one) =>
      e(
        "ul",
        { className: "stash2plexd-steps" },
        list(one.steps).map((step, line) => e("li", { key: line }, e(Said, null, step)))
      );
    return e(
      "ul",
      { className: "stash2plexd-findings" },
      findings.map((one, index) =>
        e(
          "li",
          { key: index },
          e(Mark, { state: one.level }),
          " ",
          e("strong", null, word(one.code)),
          " ",
          e(Said, null, one.message),
          one.fix
            ? e("div", { className: "stash2plexd-fix" }, e(Said, null, one.fix))
            : null,
          list(one.steps).length ? steps(one) : null
        )
      )
    );
  }

  Object.assign(ui, {
    summary,
    PlexCard,
    StashCard,
    HookFaults,
    QueueCard,
    DeliveriesCard,
    Comparisons,
    Health,
  });
})();

/* The tab of a scene: whether Plex shows it, and if not, why. */
(function () {
  "use strict";

  const ui = window.stash2plexd;
  if (!ui) return;
  const {
    React,
    e,
    ask,
    record,
    list,
    figure,
    text,
    counted,
    word,
    When,
    Said,
    Facts,
    PlexLink,
    Waiting,
    Trouble,
    Action,
  } = ui;
  const { Badge } = ui.api.libraries.Bootstrap;
  const LOOKS = 5;
  const PAUSE_MS = 2000;

  // What the daemon's verdict is called here, and how bad it is.
  const VERDICTS = {
    in_sync: ["In sync", "success"],
    waiting: ["Waiting", "info"],
    differs: ["Differs", "warning"],
    kept_out: ["Kept out", "secondary"],
    missing: ["Not in Plex", "warning"],
    ambiguous: ["Ambiguous", "warning"],
    unmapped: ["No path rule", "warning"],
    dead: ["Given up", "danger"],
    gone: ["Gone from Stash", "secondary"],
    orphan: ["Only in Plex", "warning"],
  };

  function verdictOf(answer) {
    const verdict = record(answer.verdict);
    const known = VERDICTS.hasOwnProperty(verdict.state);
    const [name, variant] = known ? VERDICTS[verdict.state] : ["Unknown", "secondary"];
    return { state: verdict.state, name, variant, message: verdict.message };
  }

  /** What the daemon says of a scene; *sync* delivers it and looks again a few times. */
  function useScene(id, version) {
    const [state, setState] = React.useState({ answer: null, error: null });
    const [said, setSaid] = React.useState({});
    // Counts up with every scene shown: an answer about another one is dropped.
    const turn = React.useRef(0);
    const timer = React.useRef(null);

    function look(mine) {
      return ask({ mode: "explain", q: `scene:${id}` }).then(
        (answer) => mine === turn.current && setState({ answer, error: null }),
        (error) =>
          mine === turn.current &&
          setState((before) => ({ answer: before.answer, error: error.message }))
      );
    }

    /** Look a few times, until the delivery shows or its fate is known. */
    function follow(mine, left) {
      timer.current = setTimeout(() => {
        ask({ mode: "explain", q: `scene:${id}` }).then(
          (answer) => {
            if (mine !== turn.current) return;
            setState({ answer, error: null });
            const settled =
              !record(sceneOf(answer, id).job).state &&
              verdictOf(answer).state !== "waiting";
            if (settled && verdictOf(answer).state === "in_sync")
              setSaid({ message: "Synced." });
            else if (settled) setSaid({ message: "Looked at; the reason is above." });
            else if (left > 1) follow(mine, left - 1);
            else setSaid({ message: "It still waits; the daemon goes on by itself." });
          },
          (error) => mine === turn.current && setSaid({ error: error.message })
        );
      }, PAUSE_MS);
    }

    function sync() {
      const mine = turn.current;
      clearTimeout(timer.current);
      setSaid({ busy: true });
      ask({ mode: "sync", scene_ids: [Number(id)] }).then(
        () => {
          if (mine !== turn.current) return;
          setSaid({ busy: true, message: "Enqueued; looking again…" });
          follow(mine, LOOKS);
        },
        (error) => mine === turn.current && setSaid({ error: error.message })
      );
    }

    React.useEffect(() => {
      const mine = ++turn.current;
      setSaid({});
      look(mine);
      return () => {
        turn.current += 1;
        clearTimeout(timer.current);
      };
    }, [id, version]);

    return {
      answer: state.answer,
      error: state.error,
      said,
      sync,
      look: () => look(turn.current),
    };
  }

  function sceneOf(answer, id) {
    const scenes = list(answer && answer.scenes).map(record);
    return scenes.find((one) => String(one.scene) === String(id)) || scenes[0] || {};
  }

  /** The item that the scene was delivered to, or would be. */
  function itemOf(scene) {
    const chosen = list(scene.candidates)
      .map(record)
      .find((one) => one.chosen);
    const delivered = list(scene.deliveries).map(record)[0];
    return (
      list(record(scene.match).items)[0] ||
      (chosen && chosen.item) ||
      (delivered && delivered.item) ||
      null
    );
  }

  // --- its parts --------------------------------------------------------------------

  function Part({ title, children }) {
    return e(
      "section",
      { className: "stash2plexd-part" },
      e("h3", { className: "stash2plexd-small" }, title),
      e(ui.Guard, null, children)
    );
  }

  function Files({ files, machine }) {
    return files.map((file, index) =>
      e(Facts, {
        key: index,
        rows: [
          ["In Stash", e(Said, { className: "stash2plexd-path" }, file.path)],
          file.mapped
            ? ["Mapped to", e(Said, { className: "stash2plexd-path" }, file.mapped)]
            : ["Not mapped", e(Said, null, file.reason)],
          file.rule ? ["Path rule", e(Said, null, file.rule)] : null,
          files.length > 1
            ? [
                "Items",
                list(file.items).length
                  ? e(Items, { items: file.items, machine })
                  : "none",
              ]
            : null,
        ],
      })
    );
  }

  function Items({ items, machine }) {
    return e(
      "span",
      { className: "stash2plexd-links" },
      list(items).map((item, index) => e(PlexLink, { key: index, machine, item }))
    );
  }

  function Match({ scene, machine }) {
    const match = record(scene.match);
    const lost = list(scene.candidates)
      .map(record)
      .filter((one) => !one.chosen);
    return e(
      React.Fragment,
      null,
      e(Facts, {
        rows: [
          [
            "Item",
            list(match.items).length
              ? e(Items, { items: match.items, machine })
              : "none",
          ],
          match.how
            ? ["Found by", `${word(match.how)} (${word(match.confidence)})`]
            : null,
          match.error ? ["Why not", e(Said, null, match.error)] : null,
        ],
      }),
      lost.length
        ? e(
            "details",
            null,
            e("summary", null, `${counted(lost.length, "other candidate")}`),
            e(
              "ul",
              null,
              lost.map((one, index) =>
                e(
                  "li",
                  { key: index },
                  e(PlexLink, { machine, item: one.item }),
                  " ",
                  e(Said, { className: "stash2plexd-path" }, one.file),
                  ` ${word(one.how)}: `,
                  e(Said, null, one.reason)
                )
              )
            )
          )
        : null
    );
  }

  function Job({ job, dead }) {
    const found = record(job).state ? record(job) : record(dead);
    return e(Facts, {
      rows: [
        ["State", word(found.state || (dead ? "dead" : null))],
        ["Attempts", figure(found.attempts)],
        found.lookups ? ["Look-ups", figure(found.lookups)] : null,
        found.code ? ["Reason", word(found.code)] : null,
        found.error ? ["Error", e(Said, null, found.error)] : null,
        record(job).state && found.due_at
          ? ["Due", e(When, { at: found.due_at })]
          : null,
        found.failed_at ? ["Last failure", e(When, { at: found.failed_at })] : null,
      ],
    });
  }

  function side(tag, value) {
    const isEmpty = text(value) === ui.NOTHING;
    return isEmpty ? "nothing" : e(tag, null, e(Said, null, value));
  }

  function Differences({ differences, machine }) {
    return differences.map((one, index) => {
      const rows = list(one.changes)
        .map(record)
        .map((change) => [
          word(change.field)
            .replace(/([a-z])([A-Z])/g, "$1 $2")
            .toLowerCase(),
          e(
            React.Fragment,
            null,
            side("del", change.before),
            " → ",
            side("ins", change.after)
          ),
        ]);
      const respected = list(one.respected);
      return e(
        "div",
        { key: index },
        differences.length > 1
          ? e("p", null, e(PlexLink, { machine, item: one.item }))
          : null,
        one.reason ? e("p", null, e(Said, null, one.reason)) : null,
        rows.length
          ? e(Facts, { rows })
          : one.reason
            ? null
            : e("p", null, "Nothing would change."),
        respected.length
          ? e(
              "p",
              { className: "stash2plexd-note" },
              `Locked by somebody else, so left alone: ${text(respected)}`
            )
          : null
      );
    });
  }

  function Deliveries({ deliveries, machine }) {
    return deliveries.map((one, index) =>
      e(Facts, {
        key: index,
        rows: [
          ["To", e(PlexLink, { machine, item: one.item })],
          ["At", e(When, { at: one.delivered_at })],
          [
            "Fields",
            text(Object.keys(record(one.text)).concat(Object.keys(record(one.tags)))),
          ],
          list(one.pictures).length ? ["Pictures", text(one.pictures)] : null,
          list(one.locked).length ? ["Locked", text(one.locked)] : null,
        ],
      })
    );
  }

  function Explained({ answer, id }) {
    const scene = sceneOf(answer, id);
    const machine = answer.machine;
    const files = list(scene.files).map(record);
    const deliveries = list(scene.deliveries).map(record);
    const known = [record(answer.verdict).message, record(scene.match).error];
    const differences = list(scene.differences)
      .map(record)
      .filter(
        (one) =>
          list(one.changes).length ||
          list(one.respected).length ||
          !known.includes(one.reason)
      );
    const gaps = list(scene.gaps).map(record);
    const notes = list(scene.notes);
    return e(
      React.Fragment,
      null,
      scene.gate
        ? e(Part, { title: "Kept out" }, e("p", null, e(Said, null, scene.gate)))
        : null,
      differences.length
        ? e(
            Part,
            { title: "What would change now" },
            e(Differences, { differences, machine })
          )
        : null,
      scene.job || scene.dead ? e(Part, { title: "Queue" }, e(Job, scene)) : null,
      gaps.length
        ? e(
            Part,
            { title: "Gaps" },
            e(
              "ul",
              null,
              gaps.map((gap, index) =>
                e(
                  "li",
                  { key: index },
                  word(gap.kind),
                  ": ",
                  e(Said, null, gap.detail),
                  " (",
                  e(When, { at: gap.first_seen }),
                  ")"
                )
              )
            )
          )
        : null,
      e(Part, { title: "Item in Plex" }, e(Match, { scene, machine })),
      files.length
        ? e(
            Part,
            { title: files.length === 1 ? "File" : "Files" },
            e(Files, { files, machine })
          )
        : null,
      deliveries.length
        ? e(Part, { title: "Last delivery" }, e(Deliveries, { deliveries, machine }))
        : null,
      notes.length
        ? e(
            Part,
            { title: "Notes" },
            e(
              "ul",
              null,
              notes.map((note, index) => e("li", { key: index }, e(Said, null, note)))
            )
          )
        : null
    );
  }

  /** The content of the tab; *version* is anything that changes with the scene. */
  function Panel({ id, version }) {
    const { answer, error, said, sync, look } = useScene(id, version);
    const known = record(answer);
    const verdict = verdictOf(known);
    const item = itemOf(sceneOf(known, id));
    return e(
      "div",
      { className: "stash2plexd stash2plexd-scene" },
      e("h2", { className: "sr-only" }, "Plex"),
      e(Trouble, { title: "No answer.", error }),
      !answer && !error ? e(Waiting, null, "Asking the daemon…") : null,
      e(
        "div",
        { role: "status", className: "stash2plexd-verdict" },
        answer
          ? e(
              React.Fragment,
              null,
              e(Badge, { variant: verdict.variant }, verdict.name),
              " ",
              e(Said, null, verdict.message)
            )
          : null
      ),
      e(
        "div",
        { className: "stash2plexd-tasks" },
        e(Action, { variant: "primary", busy: said.busy, onAct: sync }, "Sync now"),
        e(Action, { onAct: look }, "Look again"),
        e(
          PlexLink,
          { machine: known.machine, item, className: "btn btn-secondary btn-sm" },
          "Open in Plex"
        )
      ),
      e("p", { role: "status", className: "stash2plexd-note" }, said.message),
      e(Trouble, { title: "Not synced.", error: said.error }),
      answer ? e(ui.Guard, null, e(Explained, { answer: known, id })) : null
    );
  }

  ui.ScenePanel = Panel;
})();

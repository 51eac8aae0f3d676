/* The page of the plugin: how everything is, and a button for every task. */
(function () {
  "use strict";

  const ui = window.stash2plexd;
  if (!ui) return;
  const { api, React, e, record, When, Said, Mark, Waiting, Trouble } = ui;
  const { Button } = api.libraries.Bootstrap;

  const JUMPS = [
    ["Show Status", "plex"],
    ["Show Gaps", "gaps"],
    ["Show Dead Letters", "dead"],
    ["Outage Report", "outages"],
  ];

  function Jumps({ look }) {
    const jump = (id) => {
      look();
      const heading = document.getElementById(`${ui.ID}-${id}`);
      if (!heading) return;
      heading.focus({ preventScroll: true });
      heading.scrollIntoView({ block: "center" });
    };
    return e(
      "nav",
      { className: "stash2plexd-tasks", "aria-label": "Parts of this page" },
      JUMPS.map(([name, id]) =>
        e(
          Button,
          { key: id, size: "sm", variant: "secondary", onClick: () => jump(id) },
          name
        )
      )
    );
  }

  const LEVELS = {
    ok: "in step",
    warn: "look here",
    fail: "trouble",
    running: "at work",
  };

  const TITLE = "Stash to Plex";

  /** Name the page in the browser; Stash sets its own title whenever it likes. */
  function useTitle() {
    React.useEffect(() => {
      const own = document.title;
      const set = () => {
        if (!document.title.startsWith(TITLE)) document.title = `${TITLE} | Stash`;
      };
      const observer = new MutationObserver(set);
      observer.observe(document.head, {
        characterData: true,
        childList: true,
        subtree: true,
      });
      set();
      return () => {
        observer.disconnect();
        document.title = own;
      };
    }, []);
  }

  function Help() {
    return e(
      "details",
      null,
      e("summary", null, "Help"),
      e(
        "ul",
        { className: "stash2plexd-note" },
        e("li", null, "Something does not arrive? Health Check says what to mend."),
        e("li", null, "One scene does not? Its tab “Plex” says why."),
        e("li", null, "A task can be stopped in Stash; the daemon goes on by itself."),
        e("li", null, "All else: the folder “docs” of stash2plex, and stash2plex --help.")
      )
    );
  }

  function Page() {
    useTitle();
    const [view, chosen] = React.useState({ gaps_offset: 0, dead_offset: 0 });
    const setView = (change) => chosen((before) => Object.assign({}, before, change));
    const { answer, of, turning, error, at, look } = ui.useOverview(view);
    const tasks = ui.useTasks(look);
    const [report, setReport] = React.useState(null);
    const known = record(answer);
    const status = record(known.status);
    const [level, sentence] = answer || error ? ui.summary(known, error) : [null, null];
    return e(
      "div",
      { className: "stash2plexd" },
      e(
        "header",
        null,
        e("h1", { className: "h3" }, TITLE),
        e(
          "p",
          { role: "status", className: "stash2plexd-summary" },
          level ? e(Mark, { state: level }, LEVELS[level]) : null,
          " ",
          sentence
        ),
        e(
          "p",
          { className: "stash2plexd-note" },
          "Daemon ",
          e(Said, null, status.version),
          ", up since ",
          e(When, { at: status.started_at }),
          at ? ", as of " : "",
          at ? at.toLocaleTimeString() : ""
        )
      ),
      e(Trouble, { title: "No answer.", error }),
      e(Trouble, {
        title: `${tasks.said.task}:`,
        error: tasks.said.error,
        onClose: tasks.forget,
      }),
      e(
        "p",
        {
          role: tasks.said.isToasted ? undefined : "status",
          className: "stash2plexd-said-last",
        },
        tasks.said.message
      ),
      e(ui.HookFaults, { hooks: record(record(status.stash).hooks) }),
      answer ? e(Jumps, { look }) : null,
      !answer && !error ? e(Waiting, null, "Asking the daemon…") : null,
      answer
        ? e(
            "div",
            { className: error ? "stash2plexd-old" : "" },
            e(
              "div",
              { className: "stash2plexd-grid" },
              e(ui.PlexCard, {
                plex: record(status.plex),
                provider: record(status.provider),
              }),
              e(ui.StashCard, {
                stash: record(status.stash),
                catalog: record(status.catalog),
              }),
              e(ui.QueueCard, { queue: record(status.queue), tasks }),
              e(ui.DeliveriesCard, { done: record(status.deliveries), tasks })
            ),
            e(ui.Comparisons, {
              compared: record(status.reconcile),
              brake: record(status.catalog).brake,
              tasks,
            }),
            e(ui.Gaps, {
              counts: record(status.gaps),
              found: record(known.gaps),
              machine: record(status.plex).machine,
              view,
              of,
              turning,
              setView,
            }),
            e(ui.DeadLetters, {
              found: record(known.dead),
              of,
              turning,
              setView,
              tasks,
            }),
            e(ui.Outages, { found: record(known.outages) }),
            e(ui.Health, { report, tasks, onReport: setReport })
          )
        : null,
      e(Help),
      e(ui.Confirmation, { wanted: tasks.question, onAnswer: tasks.answer })
    );
  }

  ui.Page = Page;
})();

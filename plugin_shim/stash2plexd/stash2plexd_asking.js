/* What the page asks, how often, and what its buttons do.

   One operation brings all that the page shows, since each costs Stash a process. */
(function () {
  "use strict";

  const ui = window.stash2plexd;
  if (!ui) return;
  const { api, React, e, ask, record, number, text, list, counted, Action } = ui;
  const ROWS = 20;
  const BUSY_MS = 5000;
  const QUIET_MS = 15000;

  // --- what is asked, and when ------------------------------------------------------

  /** The newest answer to *view*, asked for again and again while somebody looks. */
  function useOverview(view) {
    const [state, setState] = React.useState({
      answer: null,
      error: null,
      at: null,
      of: {},
    });
    const polling = React.useRef(null);
    if (!polling.current) polling.current = poll(setState);
    React.useEffect(() => polling.current.start(), []);
    const wanted = JSON.stringify(view);
    React.useEffect(() => polling.current.show(view), [wanted]);
    // Until its answer is there, what is shown is of another page or kind.
    const turning = !!state.answer && JSON.stringify(state.of) !== wanted;
    return Object.assign({ look: polling.current.look, turning }, state);
  }

  /** Asks in turn, never twice at once; waits after the end of the last answer. */
  function poll(tell) {
    let view = {};
    let timer = null;
    let asking = false;
    let again = false;
    let stopped = true;
    let due = 0;
    let last = 0;

    function look() {
      clearTimeout(timer);
      if (stopped || document.hidden) return;
      if (asking) {
        again = true;
        return;
      }
      asking = true;
      again = false;
      const of = view;
      ask(Object.assign({ mode: "overview", limit: ROWS }, of)).then(
        (answer) => ended({ answer, of, error: null, at: new Date() }, isBusy(answer)),
        (error) => ended({ error: error.message }, false)
      );
    }

    function ended(news, busy) {
      asking = false;
      if (stopped) return;
      last = Date.now();
      due = last + (busy ? BUSY_MS : QUIET_MS);
      // An answer to what nobody asks any more would flash by.
      if (!again) tell((before) => Object.assign({}, before, news));
      if (again) look();
      else wait();
    }

    function wait() {
      clearTimeout(timer);
      if (!asking) timer = setTimeout(look, Math.max(0, due - Date.now()));
    }

    return {
      look,
      show(wanted) {
        view = wanted;
        look();
      },
      start() {
        stopped = false;
        document.addEventListener("visibilitychange", seen);
        return () => {
          stopped = true;
          clearTimeout(timer);
          document.removeEventListener("visibilitychange", seen);
        };
      },
    };

    function seen() {
      if (document.hidden) return; // a look would see that, too
      // Whoever comes back wants to see what is new, but flapping must cost nothing.
      due = Math.min(due, last + BUSY_MS);
      wait();
    }
  }

  function isBusy(answer) {
    const status = record(answer.status);
    const queue = record(status.queue);
    return !!(
      number(queue.queued) ||
      number(queue.running) ||
      record(status.reconcile).running
    );
  }

  // --- what is done -----------------------------------------------------------------

  // What the daemon's answer to a task means, by mode.
  const DONE = {
    process_queue: (found) => `${counted(found.due, "waiting job")} brought forward.`,
    clear_queue: (found) => `${counted(found.cleared, "job")} dropped.`,
    dead_retry: (found) => `${counted(found.retried, "dead letter")} tried again.`,
    dead_clear: (found) => `${counted(found.cleared, "dead letter")} forgotten.`,
    dead_purge: (found) => `${counted(found.purged, "old dead letter")} forgotten.`,
    recover: (found) =>
      `${counted(found.requeued, "dead letter")} tried again,` +
      ` ${counted(found.gone, "deleted scene")} forgotten.`,
    sync: (found) => `${counted(found.enqueued, "scene")} enqueued.`,
    reconcile: (found) => `Comparison ${text(found.run)} runs.`,
    health: (found) => {
      const bad = list(found.findings).filter(isBad);
      return bad.length
        ? `${counted(bad.length, "finding")}; see Health.`
        : "Nothing is wrong.";
    },
  };

  const isBad = (finding) => record(finding).level !== "ok";

  const useToast = (api.hooks && api.hooks.useToast) || (() => null);

  /** Runs tasks, one at a time each, and says how they ended. */
  function useTasks(look) {
    const toast = useToast();
    const [busy, setBusy] = React.useState({});
    const [said, setSaid] = React.useState({});
    const [question, setQuestion] = React.useState(null);
    const mounted = React.useRef(true);
    React.useEffect(
      () => () => {
        mounted.current = false;
      },
      []
    );

    function run(task, args, then) {
      const key = JSON.stringify(args);
      const mark = (on) =>
        setBusy((before) => Object.assign({}, before, { [key]: on }));
      mark(true);
      setSaid({});
      return ask(args)
        .then(
          (answer) => {
            if (!mounted.current) return;
            const message = `${task}: ${DONE[args.mode](answer)}`;
            // Stash's toasts are green: only for what is well.
            const isToasted = !!(toast && toast.success) && !list(answer.findings).some(isBad);
            setSaid({ message, isToasted });
            if (isToasted) toast.success(message);
            if (then) then(answer);
          },
          (error) => mounted.current && setSaid({ task, error: error.message })
        )
        .then(() => {
          if (!mounted.current) return;
          mark(false);
          look();
        });
    }

    return {
      said,
      question,
      forget: () => setSaid({}),
      isBusy: (args) => !!busy[JSON.stringify(args)],
      run,
      /** Run a task, after asking if *danger* has a question. */
      start(task, args, danger, then) {
        const go = () => run(task, args, then);
        if (danger) setQuestion(Object.assign({ go }, danger));
        else go();
      },
      answer(yes) {
        setQuestion(null);
        if (yes) question.go();
      },
    };
  }

  function Task({ tasks, name, args, danger, variant, then, children }) {
    return e(
      Action,
      {
        variant,
        busy: tasks.isBusy(args),
        onAct: () => tasks.start(name, args, danger, then),
      },
      children || name,
      danger ? "…" : ""
    );
  }

  function Tasks({ children }) {
    return e("div", { className: "stash2plexd-tasks" }, children);
  }

  Object.assign(ui, { ROWS, useOverview, useTasks, Task, Tasks });
})();

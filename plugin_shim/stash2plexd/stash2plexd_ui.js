/* What the page and the scene panel share: asking the daemon, and small parts of a page.

   A classic script without a build step; Stash puts the files of a plugin one after the
   other, in the order of the manifest. Whatever comes from the server is only ever given
   to React as text. Nothing here trusts an answer to be complete: the daemon may be
   older or newer than this file. */
(function () {
  "use strict";

  const api = window.PluginApi;
  const libraries = (api && api.libraries) || {};
  if (
    !api ||
    !api.React ||
    !libraries.Apollo ||
    !libraries.Bootstrap ||
    !libraries.ReactRouterDOM
  ) {
    return; // a Stash before v0.25, or one that moved on; the tasks work all the same
  }

  const React = api.React;
  const e = React.createElement;
  const { Alert, Badge, Button, Card, Modal, Spinner } = libraries.Bootstrap;
  const { Link } = libraries.ReactRouterDOM;
  const ID = "stash2plexd";
  const NOTHING = "–";

  // --- asking -----------------------------------------------------------------------

  const OPERATION = libraries.Apollo.gql`
    mutation Stash2PlexOperation($id: ID!, $args: Map) {
      runPluginOperation(plugin_id: $id, args: $args)
    }
  `;

  /** Run an operation of the plugin; rejects with what to tell the user. */
  function ask(args) {
    // What the page shows need not fill Stash's log.
    const variables = { id: ID, args: Object.assign({ quiet: true }, args) };
    return Promise.resolve()
      .then(() => api.utils.StashService.getClient())
      .then((client) =>
        client.mutate({ mutation: OPERATION, variables, fetchPolicy: "no-cache" })
      )
      .then((result) => {
        const answer = (result.data || {}).runPluginOperation;
        if (!answer) throw new Error(SILENT);
        return record(answer);
      })
      .catch((error) => {
        throw new Error(reasonOf(error));
      });
  }

  function reasonOf(error) {
    const said = list(error && error.graphQLErrors).map((one) => one.message);
    if (said.length) return withRemedy(said.join(" "));
    if (error && error.networkError) {
      const status = error.networkError.statusCode;
      return status === 401
        ? "Stash no longer knows you. Log in again."
        : "Stash does not answer. Is it running?";
    }
    return String((error && error.message) || error);
  }

  const SETTING = "Settings > System > Python executable path";
  const SILENT = `Stash started something that is no working Python: set the path of Python 3.9 or newer under ${SETTING}.`;

  /** Stash says how its plugins' Python fails, but not what to do about it. */
  function withRemedy(said) {
    if (said.includes("error running plugin")) {
      return (
        `Stash finds no Python: install Python 3.9 or newer where Stash runs, or name it` +
        ` under ${SETTING}. (${said})`
      );
    }
    if (/^exit status \d+$/.test(said)) {
      return (
        `What Stash calls Python does not run: name Python 3.9 or newer under` +
        ` ${SETTING}; Stash's log says what went wrong. (${said})`
      );
    }
    return said;
  }

  // --- reading answers that may lack anything ---------------------------------------

  function record(value) {
    return value && typeof value === "object" && !Array.isArray(value) ? value : {};
  }

  function list(value) {
    return Array.isArray(value) ? value.filter((one) => one !== null) : [];
  }

  function number(value) {
    return typeof value === "number" && isFinite(value) ? value : 0;
  }

  /** The text of a number, or a dash for one that is missing. */
  function figure(value) {
    return typeof value === "number" && isFinite(value)
      ? value.toLocaleString()
      : NOTHING;
  }

  function text(value) {
    if (typeof value === "string") return value || NOTHING;
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (Array.isArray(value)) return value.map(text).join(", ") || NOTHING;
    if (value && typeof value === "object") return JSON.stringify(value);
    return figure(value);
  }

  function counted(value, thing, things) {
    return `${figure(value)} ${value === 1 ? thing : things || `${thing}s`}`;
  }

  function spelled(seconds) {
    if (typeof seconds !== "number" || !isFinite(seconds)) return NOTHING;
    if (seconds < 1) return seconds > 0 ? "under 1 s" : "0 s";
    const whole = Math.floor(seconds);
    const [days, hours] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24];
    const [minutes, rest] = [Math.floor(whole / 60) % 60, whole % 60];
    if (days) return `${figure(days)} d ${hours} h`;
    if (hours) return `${hours} h ${minutes} min`;
    return minutes ? `${minutes} min ${rest} s` : `${rest} s`;
  }

  /** A word of the daemon's, as people write it. */
  function word(value) {
    return text(value).replace(/_/g, " ");
  }

  // --- small parts ------------------------------------------------------------------

  /** A moment in the user's own time; the exact one is its title. */
  function When({ at }) {
    const moment = new Date(typeof at === "string" ? at : NaN);
    if (isNaN(moment)) return NOTHING;
    const shown = moment.toLocaleString(undefined, {
      dateStyle: "medium",
      timeStyle: "short",
    });
    return e("time", { dateTime: moment.toISOString(), title: at }, shown);
  }

  /** Text of somebody else's, of any length and in any direction. */
  function Said({ children, className }) {
    const names = `stash2plexd-said ${className || ""}`;
    return e("bdi", { dir: "auto", className: names }, text(children));
  }

  /** Names with their values, [name, value] each; rows that are null are left out. */
  function Facts({ rows }) {
    const shown = rows
      .filter(Boolean)
      .map(([name, value], index) =>
        e(
          "div",
          { key: index, className: "stash2plexd-fact" },
          e("dt", null, name),
          e("dd", null, value)
        )
      );
    return e("dl", { className: "stash2plexd-facts" }, shown);
  }

  /** A table that becomes a list of rows where it is narrow; cells by column name. */
  function Rows({ label, busy, columns, rows }) {
    const cells = (row) =>
      columns.map((name, index) =>
        e("td", { key: index, role: "cell", "data-label": name }, row.cells[index])
      );
    return e(
      "table",
      {
        className: "table table-sm stash2plexd-table",
        role: "table",
        "aria-label": label,
        "aria-busy": !!busy,
      },
      e(
        "thead",
        { role: "rowgroup" },
        e(
          "tr",
          { role: "row" },
          columns.map((name, index) =>
            e("th", { key: index, scope: "col", role: "columnheader" }, name)
          )
        )
      ),
      e(
        "tbody",
        { role: "rowgroup" },
        rows.map((row) => e("tr", { key: row.key, role: "row" }, cells(row)))
      )
    );
  }

  const VARIANTS = {
    up: "success",
    closed: "success",
    done: "success",
    ok: "success",
    down: "danger",
    denied: "danger",
    open: "danger",
    failed: "danger",
    fail: "danger",
    half_open: "warning",
    stopped: "warning",
    warn: "warning",
    running: "info",
  };

  function Mark({ state, children }) {
    const variant = VARIANTS[state] || "secondary";
    return e(Badge, { variant }, children || word(state));
  }

  const isNumber = (value) => /^[1-9][0-9]{0,17}$/.test(String(value));
  const PAGES = {
    scene: "scenes",
    performer: "performers",
    studio: "studios",
    tag: "tags",
    group: "groups",
  };

  /** A link to a thing's own page in Stash; only text if it has none. */
  function StashLink({ kind, id }) {
    const shown = `${word(kind)} ${text(id)}`;
    const page = PAGES.hasOwnProperty(kind) && PAGES[kind];
    if (!page || !isNumber(id)) return e(Said, null, shown);
    return e(Link, { to: `/${page}/${id}` }, shown);
  }

  /** Where an item is in Plex's own page; null if that cannot be told for certain. */
  function plexAddress(machine, item) {
    if (!/^[A-Za-z0-9]+$/.test(String(machine || "")) || !isNumber(item)) return null;
    const key = `%2Flibrary%2Fmetadata%2F${item}`;
    return `https://app.plex.tv/desktop/#!/server/${machine}/details?key=${key}`;
  }

  function PlexLink({ machine, item, className, children }) {
    const href = plexAddress(machine, item);
    if (!href) return children ? null : `item ${text(item)}`;
    const safely = { href, className, target: "_blank", rel: "noopener noreferrer" };
    return e("a", safely, children || `item ${item}`);
  }

  /** A part of the page with its heading; what fails in it stays in it. */
  function Section({ id, title, aside, level, className, children }) {
    const heading = {
      id: `${ID}-${id}`,
      tabIndex: -1,
      className: "stash2plexd-heading",
    };
    return e(
      "section",
      {
        className: `stash2plexd-section ${className || ""}`,
        "aria-labelledby": heading.id,
      },
      e(
        Card,
        null,
        e(
          Card.Body,
          null,
          e(
            "div",
            { className: "stash2plexd-head" },
            e(`h${level || 2}`, heading, title),
            aside
          ),
          e(Guard, null, children)
        )
      )
    );
  }

  class Guard extends React.Component {
    constructor(props) {
      super(props);
      this.state = { failed: false };
    }
    static getDerivedStateFromError() {
      return { failed: true };
    }
    componentDidUpdate(before) {
      // Another answer may be one that can be shown.
      if (this.state.failed && before.children !== this.props.children) {
        this.setState({ failed: false });
      }
    }
    render() {
      if (!this.state.failed) return this.props.children || null;
      return e("p", null, "This part of the answer could not be read.");
    }
  }

  function Waiting({ children }) {
    return e(
      "p",
      { role: "status", className: "stash2plexd-waiting" },
      e(Spinner, { animation: "border", size: "sm", as: "span", "aria-hidden": true }),
      " ",
      children
    );
  }

  function Trouble({ title, error, onClose }) {
    if (!error) return null;
    // Bootstrap's Alert has the role already.
    return e(
      Alert,
      { variant: "danger", dismissible: !!onClose, onClose },
      e("strong", null, title),
      " ",
      e(Said, null, error)
    );
  }

  /** A button that stays focused while it cannot act: the keyboard keeps its place. */
  function Action({ busy, idle, onAct, variant, label, children }) {
    return e(
      Button,
      {
        size: "sm",
        variant: variant || "secondary",
        "aria-label": label,
        "aria-disabled": !!(busy || idle),
        className: busy || idle ? "disabled" : "",
        onClick: () => busy || idle || onAct(),
      },
      busy
        ? e(Spinner, {
            animation: "border",
            size: "sm",
            as: "span",
            "aria-hidden": true,
          })
        : null,
      busy ? " " : null,
      children
    );
  }

  /** Asks before something that cannot be taken back; Escape and Cancel keep all. */
  function Confirmation({ wanted, onAnswer }) {
    const cancel = React.useRef(null);
    const go = React.useRef(null);
    // What it says stays while it fades out.
    const last = React.useRef({});
    if (wanted) last.current = wanted;
    const { title, body, verb } = last.current;

    /** Keep the Tab key among the two buttons; Bootstrap only fetches it back, at times. */
    function stay(event) {
      const [from, to] = event.shiftKey ? [cancel, go] : [go, cancel];
      if (event.key !== "Tab" || event.target !== from.current) return;
      event.preventDefault();
      to.current.focus();
    }

    const heading = { id: "stash2plexd-question", as: "h2", className: "h5" };
    return e(
      Modal,
      {
        show: !!wanted,
        onHide: () => onAnswer(false),
        onEntered: () => cancel.current && cancel.current.focus(),
        centered: true,
        "aria-labelledby": heading.id,
      },
      e(Modal.Header, null, e(Modal.Title, heading, title)),
      e(Modal.Body, null, e(Said, null, body)),
      e(
        Modal.Footer,
        { onKeyDown: stay },
        e(
          Button,
          { ref: cancel, variant: "secondary", onClick: () => onAnswer(false) },
          "Cancel"
        ),
        e(Button, { ref: go, variant: "danger", onClick: () => onAnswer(true) }, verb)
      )
    );
  }

  window.stash2plexd = {
    ID,
    NOTHING,
    api,
    React,
    e,
    ask,
    record,
    list,
    number,
    figure,
    text,
    counted,
    spelled,
    word,
    isNumber,
    plexAddress,
    When,
    Said,
    Facts,
    Rows,
    Mark,
    StashLink,
    PlexLink,
    Section,
    Guard,
    Waiting,
    Trouble,
    Action,
    Confirmation,
  };
})();

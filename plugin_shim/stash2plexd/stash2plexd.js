/* Where Stash shows us: a page, its entries, and a tab of every scene.

   Parts of Stash that a release lacks are left out; the rest works without them. */
(function () {
  "use strict";

  const ui = window.stash2plexd;
  if (!ui) return;
  const { api, React, e } = ui;
  const { Button, Nav, Tab } = api.libraries.Bootstrap;
  const { Link, NavLink } = api.libraries.ReactRouterDOM;
  // Not /plugin/…: that is the server's, and a reload would find nothing there.
  const ROUTE = `/plugins/${ui.ID}`;
  const TAB = "stash2plexd-panel";

  if (api.register && api.register.route) api.register.route(ROUTE, ui.Page);

  /** Add something after the children of one of Stash's components. */
  function append(component, make) {
    if (!api.patch || !api.patch.before) return;
    api.patch.before(component, function (props, ...more) {
      const added = make(props || {});
      if (!added) return [props, ...more];
      const children = e(React.Fragment, null, props.children, added);
      return [Object.assign({}, props, { children }), ...more];
    });
  }

  function Icon() {
    // A screen with an arrow into it.
    const path = "M3 4h18v13H3zM8 21h8M12 7v6m-3-3 3 3 3-3";
    const drawn = {
      fill: "none",
      stroke: "currentColor",
      strokeWidth: 2,
      strokeLinejoin: "round",
      strokeLinecap: "round",
    };
    const frame = {
      viewBox: "0 0 24 24",
      width: "1em",
      height: "1em",
      "aria-hidden": true,
      className: "svg-inline--fa fa-icon",
    };
    return e("svg", frame, e("path", Object.assign({ d: path }, drawn)));
  }

  append("MainNavBar.UtilityItems", () =>
    e(
      Button,
      {
        // A link and a button in one, so that the keyboard stops only once. No class of
        // its own says how it is laid out: Stash hides one of the two of each.
        as: NavLink,
        className: "nav-utility minimal stash2plexd-nav",
        exact: true,
        to: ROUTE,
        title: "Stash to Plex",
        "aria-label": "Stash to Plex",
      },
      e(Icon)
    )
  );

  /** Whether *node* is the section of the scene tools: since v0.29 there are two. */
  function hasSceneTools(node) {
    if (Array.isArray(node)) return node.some(hasSceneTools);
    if (!node || !node.props) return false;
    return (
      node.props.to === "/sceneFilenameParser" ||
      hasSceneTools(node.props.children) ||
      hasSceneTools(node.props.heading)
    );
  }

  append("SettingsToolsSection", (props) => {
    if (!hasSceneTools(props.children)) return null;
    const heading = e(
      Link,
      { to: ROUTE, className: "btn btn-primary" },
      "Stash to Plex"
    );
    const subHeading = "How Plex keeps up with Stash, and a button for every task.";
    // Only there once the settings were opened.
    const { Setting } = api.components || {};
    return Setting
      ? e(Setting, { heading, subHeading })
      : e("div", { className: "setting" }, heading);
  });

  // --- the tab of a scene, from v0.28 on --------------------------------------------

  append("ScenePage.Tabs", (props) =>
    props.scene && Nav
      ? e(Nav.Item, null, e(Nav.Link, { eventKey: TAB }, "Plex"))
      : null
  );

  append("ScenePage.TabContent", (props) =>
    props.scene && Tab
      ? e(
          Tab.Pane,
          { eventKey: TAB, mountOnEnter: true, unmountOnExit: true },
          e(ui.ScenePanel, { id: props.scene.id, version: props.scene.updated_at })
        )
      : null
  );
})();

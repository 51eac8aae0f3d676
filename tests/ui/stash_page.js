/* Stash's own page, as far as a plugin can see it: PluginApi, the frame of the page, the
   tools, a scene, and the routes of plugins. Written by hand after what Stash promises
   to plugins; the libraries are those that Stash uses. Only for tests.

   window.OLD_STASH, set before, names what a release lacks. */
import * as Apollo from "@apollo/client";
import React from "react";
import ReactDOM from "react-dom";
import * as Bootstrap from "react-bootstrap";
import * as ReactRouterDOM from "react-router-dom";

const e = React.createElement;
const { Link, NavLink, Route, Switch, BrowserRouter, useLocation } = ReactRouterDOM;
const { Button, Nav, Navbar, Tab, Toast } = Bootstrap;
const lacks = (name) => (window.OLD_STASH || []).includes(name);

// --- PluginApi ----------------------------------------------------------------------

const client = new Apollo.ApolloClient({
  link: new Apollo.HttpLink({ uri: new URL("graphql", document.baseURI).href }),
  cache: new Apollo.InMemoryCache(),
});
const routes = [];
const patches = { before: {}, instead: {}, after: {} };
const components = {};
const Event = new EventTarget();

function patch(kind) {
  return (name, fn) => {
    (patches[kind][name] = patches[kind][name] || []).push(fn);
  };
}

/** A component that plugins may patch, as Stash runs their functions: while rendering. */
function patchable(name, component) {
  const patched = (...given) => {
    let args = given;
    if (!lacks(name)) {
      for (const fn of patches.before[name] || []) args = fn(...args);
      if (!Array.isArray(args)) throw new Error(`${name}: no list of arguments`);
    }
    return component(...args);
  };
  components[name] = patched;
  return patched;
}

const ToastContext = React.createContext(null);

function useToast() {
  const add = React.useContext(ToastContext);
  return React.useMemo(
    () => ({
      toast: add,
      success: (content) => add({ content }),
      error(error) {
        console.error(error);
        add({ variant: "danger", content: String(error.message || error) });
      },
    }),
    [add]
  );
}

function Toasts({ children }) {
  const [shown, setShown] = React.useState(null);
  const add = React.useCallback((toast) => setShown(toast), []);
  return e(
    ToastContext.Provider,
    { value: add },
    children,
    e(
      "div",
      { className: "toast-container" },
      shown &&
        e(
          Toast,
          {
            autohide: true,
            delay: 3000,
            onClose: () => setShown(null),
            className: shown.variant || "success",
          },
          e(Toast.Header, null, e("span", { className: "mr-auto" }, shown.content))
        )
    )
  );
}

window.PluginApi = {
  React,
  ReactDOM,
  GQL: {},
  libraries: Object.assign(
    { ReactRouterDOM, Bootstrap, Apollo, Intl: {}, Mousetrap: {} },
    lacks("FontAwesome") ? {} : { FontAwesomeSolid: {}, FontAwesomeRegular: {} }
  ),
  register: { route: (path, component) => routes.push({ path, component }) },
  patch: { before: patch("before"), instead: patch("instead"), after: patch("after") },
  components,
  loadableComponents: {},
  utils: { StashService: { getClient: () => client } },
  hooks: lacks("useToast") ? {} : { useToast },
  Event,
};
if (lacks("patch")) delete window.PluginApi.patch;
if (lacks("register")) delete window.PluginApi.register;
if (lacks("Apollo")) delete window.PluginApi.libraries.Apollo;

// --- the frame ----------------------------------------------------------------------

const MenuItems = patchable("MainNavBar.MenuItems", (props) =>
  e(Nav, null, props.children)
);
const UtilityItems = patchable("MainNavBar.UtilityItems", (props) =>
  e(React.Fragment, null, props.children)
);

function MainNavbar() {
  const utilities = () =>
    e(
      NavLink,
      { className: "nav-utility", exact: true, to: "/settings" },
      e(
        Button,
        { className: "minimal d-flex align-items-center h-100", title: "Settings" },
        "⚙"
      )
    );
  // Twice, as in Stash; the style sheet shows one of them.
  return e(
    Navbar,
    { fixed: "top", variant: "dark", bg: "dark", className: "top-nav", expand: "xl" },
    e(
      Navbar.Collapse,
      { className: "bg-dark order-sm-1" },
      e(
        MenuItems,
        null,
        e(
          Nav.Link,
          { as: "div" },
          e(Link, { to: "/scenes/7", className: "btn minimal" }, "Scenes")
        )
      ),
      e(Nav, null, e(UtilityItems, null, utilities()))
    ),
    e(
      Navbar.Brand,
      { as: "div" },
      e(Link, { to: "/", className: "btn minimal brand-link" }, "Stash")
    ),
    e(
      Nav,
      { className: "navbar-buttons flex-row ml-auto order-xl-2" },
      e(UtilityItems, null, utilities()),
      e(Navbar.Toggle, { className: "nav-menu-toggle ml-sm-2" })
    )
  );
}

// --- settings, tools ----------------------------------------------------------------

const ToolsSection = patchable("SettingsToolsSection", (props) =>
  e(React.Fragment, null, props.children)
);

function Setting({ heading, subHeading }) {
  return e(
    "div",
    { className: "setting" },
    e(
      "div",
      null,
      e("h3", null, heading),
      e("div", { className: "sub-heading" }, subHeading)
    ),
    e("div")
  );
}

function Settings() {
  if (!lacks("Setting")) components.Setting = Setting; // as its code is only loaded here
  const tool = (to, name) =>
    e(Setting, { heading: e(Link, { to }, e(Button, null, name)) });
  const second = e(
    "div",
    { className: "card" },
    e(
      ToolsSection,
      null,
      tool("/sceneFilenameParser", "Scene Filename Parser"),
      tool("/sceneDuplicateChecker", "Scene Duplicate Checker")
    )
  );
  if (lacks("second tools section")) return second;
  const playground = e(Setting, {
    heading: e("a", { href: "/playground" }, e(Button, null, "GraphQL playground")),
  });
  return e(
    React.Fragment,
    null,
    e("div", { className: "card" }, e(ToolsSection, null, playground)),
    second
  );
}

// --- a scene ------------------------------------------------------------------------

const Tabs = patchable("ScenePage.Tabs", (props) =>
  e(React.Fragment, null, props.children)
);
const TabContent = patchable("ScenePage.TabContent", (props) =>
  e(React.Fragment, null, props.children)
);
const SCENE = Apollo.gql`query FindScene($id: ID!) {
  findScene(id: $id) { id title updated_at }
}`;

function Scene({ match }) {
  const { data } = Apollo.useQuery(SCENE, {
    variables: { id: match.params.id },
    fetchPolicy: "network-only",
  });
  const [tab, setTab] = React.useState("scene-details-panel");
  const scene = data && data.findScene;
  if (!scene) return null;
  return e(
    "div",
    { className: "row" },
    e(
      "div",
      { className: "scene-tabs" },
      e("h3", { className: "scene-header" }, scene.title),
      e(
        Tab.Container,
        { activeKey: tab, onSelect: setTab },
        e(
          Nav,
          { variant: "tabs", className: "mr-auto" },
          e(
            Tabs,
            { scene },
            e(
              Nav.Item,
              null,
              e(Nav.Link, { eventKey: "scene-details-panel" }, "Details")
            ),
            e(
              Nav.Item,
              null,
              e(Nav.Link, { eventKey: "scene-file-info-panel" }, "File Info")
            )
          )
        ),
        e(
          Tab.Content,
          null,
          e(
            TabContent,
            { scene },
            e(Tab.Pane, { eventKey: "scene-details-panel" }, "Details of the scene"),
            e(Tab.Pane, { eventKey: "scene-file-info-panel" }, "Its files")
          )
        )
      )
    ),
    e("div", { className: "scene-player-container" })
  );
}

// --- all of it ----------------------------------------------------------------------

function Location() {
  const location = useLocation();
  React.useEffect(() => {
    Event.dispatchEvent(
      new CustomEvent("stash:location", { detail: { data: { location } } })
    );
  }, [location]);
  return null;
}

function App() {
  return e(
    BrowserRouter,
    null,
    e(
      Apollo.ApolloProvider,
      { client },
      e(
        Toasts,
        null,
        e(Location),
        e(MainNavbar),
        e(
          "div",
          { className: "main container-fluid" },
          e(
            Switch,
            null,
            e(Route, { path: "/settings", component: Settings }),
            e(Route, { path: "/scenes/:id", component: Scene }),
            routes.map((one) =>
              e(Route, { key: one.path, path: one.path, component: one.component })
            ),
            e(Route, { path: "/" }, "Front page")
          )
        )
      )
    )
  );
}

// Plugins are loaded before anything is rendered, as in Stash.
const style = document.createElement("link");
style.rel = "stylesheet";
style.href = "/plugin/stash2plexd/css";
document.head.append(style);
const script = document.createElement("script");
script.src = "/plugin/stash2plexd/javascript";
script.async = false;
script.onload = () => ReactDOM.render(e(App), document.getElementById("root"));
document.head.append(script);

/* Having Stash update the plugins, with one click. */
(function () {
  "use strict";

  const ui = window.stash2plexd;
  if (!ui) return;
  const { api, React, e, record, list, Action, Said } = ui;
  const { gql } = api.libraries.Apollo;
  const PACKAGES = gql`
    query Stash2PlexPackages {
      installedPackages(type: Plugin) {
        package_id
        sourceURL
      }
    }
  `;
  const UPDATE = gql`
    mutation Stash2PlexUpdate($packages: [PackageSpecInput!]) {
      updatePackages(type: Plugin, packages: $packages)
    }
  `;
  const COPIED =
    "The plugins were copied by hand: run stash2plex install-plugin DIR again.";
  const STARTED = "Stash updates the plugins now. Load this page again in a moment.";

  /** Ask Stash for it; resolves to what to tell the user. */
  function update() {
    const client = api.utils.StashService.getClient();
    return client
      .query({ query: PACKAGES, fetchPolicy: "no-cache" })
      .then((found) => {
        const packages = list(record(found.data).installedPackages)
          .filter((one) => String(one.package_id).startsWith(ui.ID))
          .map((one) => ({ id: one.package_id, sourceURL: one.sourceURL }));
        if (!packages.length) return COPIED;
        const variables = { packages };
        return client.mutate({ mutation: UPDATE, variables }).then(() => STARTED);
      })
      .catch((error) => String(error.message || error));
  }

  function Update() {
    const [busy, setBusy] = React.useState(false);
    const [said, setSaid] = React.useState("");
    const act = () => {
      setBusy(true);
      update().then((told) => {
        setSaid(told);
        setBusy(false);
      });
    };
    return e(
      "div",
      { className: "stash2plexd-tasks" },
      e(Action, { busy, onAct: act }, "Update the plugins"),
      said ? e("span", { role: "status" }, e(Said, null, said)) : null
    );
  }

  ui.Update = Update;
})();

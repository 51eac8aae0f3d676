/* Runs inside Stash at every change and says so in one line of its log, which the daemon
   reads as it is written. Trace lines are in no file and on no page, unless the log level
   of Stash is Trace.

   ES5: Stash v0.24 runs an older engine. What Stash hands over is read property by
   property: written out whole, it has other names up to v0.25, and a cover of megabytes. */
(function () {
  var args = (input && input.Args) || {};
  var hook = args.hookContext;
  // Without a change it was started by hand: to see whether a line arrives.
  var said = { type: "Plugin.Ping.Post", id: 1, nonce: String(args.nonce || "") };
  var fields = [];
  var given;
  var i;
  if (hook) {
    said = { type: String(hook.type), id: Number(hook.id) };
    for (i = 0; hook.inputFields && i < hook.inputFields.length; i++) {
      if (hook.inputFields[i] !== "id") fields.push(String(hook.inputFields[i]));
    }
    if (fields.length) said.fields = fields;
    given = hook.input;
    if (said.type === "Scene.Destroy.Post" && given) {
      said.files = {
        path: String(given.path || ""),
        oshash: String(given.oshash || ""),
        checksum: String(given.checksum || ""),
      };
    }
  }
  log.Trace("stash2plexd 1 " + JSON.stringify(said));
  return { Output: "ok" };
})();

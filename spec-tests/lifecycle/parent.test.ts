import { expect } from "vitest";
import { spec } from "../harness/spec.ts";
import { startUnderSubreaper } from "../harness/subreaper.ts";

const CLAUSE = "engines: init is reparented to the subreaper, its exit status reaches it";

spec("create below a subreaper: init becomes its child, the exit code arrives", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("exit 7");
  expect(await startUnderSubreaper(sandbox, container).report()).toEqual({ parent: true, exit: 7 });
});

spec("create below a subreaper: the signal that ended the program arrives", CLAUSE, async (sandbox) => {
  // Pid 1 of a pid namespace ignores its own signals, so the program shares the host's.
  const container = sandbox.shell("kill -KILL $$", (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
    config.mounts = config.mounts.map((mount) =>
      mount.destination === "/proc"
        ? { destination: "/proc", type: "none", source: "/proc", options: ["rbind"] }
        : mount,
    );
  });
  expect(await startUnderSubreaper(sandbox, container).report()).toEqual({ parent: true, signal: 9 });
});

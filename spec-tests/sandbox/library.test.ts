import { expect } from "vitest";
import { program } from "../harness/helpers/library.ts";
import { spec } from "../harness/spec.ts";
import { ONLY_RUNTS, workDirectory } from "./sandbox.ts";

const CLAUSE = "promise: the library";

spec(
  "sandbox of the library: output, exit code, time limit and refusals; leaves nothing",
  CLAUSE,
  async (sandbox) => {
    const work = workDirectory(sandbox);
    const found = await program(
      sandbox,
      sandbox.container(),
      `
      const run = (args, options) => runts.sandbox({ ...on, cwd: "/", args, ...options });
      const shell = (script, options) => run(["sh", "-c", script], options);
      const refused = (options) => run(["true"], options).then(() => "", (error) => error instanceof runts.RuntsError && error.message);
      return [
        await shell("cat ${work}/source; echo problem >&2; exit 7", { ro: ["${work}"] }),
        await shell("exec sleep 1000", { timeoutMs: 50 }),
        await shell("echo $A; id -u", { env: ["A=b"], uid: 7, timeoutMs: 60000 }),
        await refused({ rw: ["/"] }),
        await refused({ memory: -1 }),
        await refused({ ro: ["${work}/source:/usr/none/x"] }),
      ];
    `,
    );
    const ended = { signal: undefined, stdout: "", stderr: "", timedOut: false };
    expect(found).toEqual(
      [
        { ...ended, exitCode: 7, stdout: "text\n", stderr: "problem\n" },
        { ...ended, exitCode: 143, timedOut: true },
        { ...ended, exitCode: 0, stdout: "b\n7\n" },
        expect.stringContaining("--rw /: it is the whole host"),
        expect.stringContaining("--memory -1: must be"),
        expect.stringContaining(`--ro ${work}/source:/usr/none/x: /mounts/`),
      ].map((one) => (typeof one === "object" && "signal" in one ? JSON.parse(JSON.stringify(one)) : one)),
    );
  },
  ONLY_RUNTS,
);

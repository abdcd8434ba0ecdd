import { mkdirSync } from "node:fs";
import { expect } from "vitest";
import {
  ANNOTATION,
  NO_PEER,
  ONE_DIRECTORY,
  POINTER,
  runningProbe,
  withoutLandlock,
  withProbe,
  withRules,
} from "../harness/helpers/landlock.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: docs/landlock.md";

spec(
  "start with Landlock rules that do not let the program be executed: error that asks for the rights",
  CLAUSE,
  async (sandbox) => {
    const container = withProbe(sandbox, (config) => {
      withRules({
        handledAccess: { handledAccessFS: ["execute"] },
        rules: { pathBeneath: [{ allowedAccess: ["execute"], paths: ["/allowed"] }] },
      })(config);
      config.process.args = ["/probe"];
    });
    await container.created();
    expectRefusal(
      await container.start(),
      `/process/args/0: exec: "/probe": execve: permission denied (do the rules of ${POINTER} have execute and read_file`,
    );
  },
  NO_PEER,
);

/** What create refuses, by the words of the error after the annotation's pointer. */
const REFUSED: Readonly<Record<string, readonly [annotation: unknown, words: string]>> = {
  "that is not JSON": ["{", ": not valid JSON at column 2"],
  "with an unknown property": [
    { handledAccess: { scoped: ["signal"] }, ruleset: {} },
    "/ruleset: is unknown: it must be one of handledAccess, rules, restrictSelfFlags, enableBestEffort",
  ],
  "with an unknown right": [
    { handledAccess: { handledAccessFS: ["LANDLOCK_ACCESS_FS_EXECUTE"] } },
    "/handledAccess/handledAccessFS/0: must be one of execute, write_file",
  ],
  "with a port out of range": [
    {
      handledAccess: { handledAccessNetwork: ["bind"] },
      rules: { networkPort: [{ allowedAccess: ["bind"], ports: [65536] }] },
    },
    "/rules/networkPort/0/ports/0: must be a port from 0 to 65535",
  ],
  "with a relative path": [
    {
      handledAccess: { handledAccessFS: ["execute"] },
      rules: { pathBeneath: [{ allowedAccess: ["execute"], paths: ["bin"] }] },
    },
    "/rules/pathBeneath/0/paths/0: must be an absolute path",
  ],
  "with a right that is not handled": [
    {
      handledAccess: { handledAccessFS: ["execute"] },
      rules: { pathBeneath: [{ allowedAccess: ["execute", "refer"], paths: ["/bin"] }] },
    },
    "/rules/pathBeneath/0/allowedAccess/1: refer is allowed but not handled",
  ],
  "with a missing path": [
    {
      handledAccess: { handledAccessFS: ["execute"] },
      rules: { pathBeneath: [{ allowedAccess: ["execute"], paths: ["/bin", "/no-such"] }] },
    },
    "/rules/pathBeneath/0/paths/1: allow execute at /no-such: openat2: no such file or directory",
  ],
  "with rights of directories for a file": [
    {
      handledAccess: { handledAccessFS: ["read_dir"] },
      rules: { pathBeneath: [{ allowedAccess: ["read_dir"], paths: ["/etc/passwd"] }] },
    },
    "/rules/pathBeneath/0/paths/0: allow read_dir at /etc/passwd: landlock_add_rule: invalid argument (it is no directory",
  ],
};

for (const [situation, [annotation, words]] of Object.entries(REFUSED))
  spec(
    `create with a Landlock annotation ${situation}: error with the pointer, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.process.noNewPrivileges = true;
        const text = typeof annotation === "string" ? annotation : JSON.stringify(annotation);
        config.annotations = { [ANNOTATION]: text };
      });
      expectRefusal(await container.create(), `${POINTER}${words}`);
    },
    NO_PEER,
  );

spec(
  "create with Landlock rules and without noNewPrivileges: error that names it, nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      withRules(ONE_DIRECTORY)(config);
      config.process.noNewPrivileges = false;
    });
    expectRefusal(
      await container.create(),
      "/process/noNewPrivileges: must be true with the annotation run.runts.landlock",
    );
  },
  NO_PEER,
);

for (const [kernel, reason] of [
  ["built without it", "function not implemented"],
  ["booted without it", "operation not supported"],
] as const) {
  const words = `${POINTER}: this kernel has no Landlock that can be used (${reason})`;

  spec(
    `run with Landlock rules on a kernel ${kernel}: runs without them, with a warning`,
    CLAUSE,
    async (sandbox, context) => {
      if (process.arch !== "x64") context.skip("the filter knows the calls of x86-64 only");
      const container = withProbe(sandbox, (config) => {
        withRules(ONE_DIRECTORY)(config);
        config.process.args = ["/probe", "write_file", "/denied"];
      });
      const { code, stdout, stderr } = await container.run({ wrapper: withoutLandlock(kernel) });
      expect(stderr).toContain(`${words}: the process runs without these rules`);
      expect({ code, stdout }).toEqual({ code: 0, stdout: "write_file /denied: ok\n" });
    },
    NO_PEER,
  );

  spec(
    `create with strict Landlock rules on a kernel ${kernel}: error with the pointer, nothing left`,
    CLAUSE,
    async (sandbox, context) => {
      if (process.arch !== "x64") context.skip("the filter knows the calls of x86-64 only");
      const container = withProbe(sandbox, withRules({ ...ONE_DIRECTORY, enableBestEffort: false }));
      expectRefusal(
        await container.create({ wrapper: withoutLandlock(kernel) }),
        `${words}, and enableBestEffort is false`,
      );
    },
    NO_PEER,
  );
}

for (const command of ["checkpoint", "restore"] as const)
  spec(
    `${command} of a container with Landlock rules: error that names the annotation`,
    CLAUSE,
    async (sandbox) => {
      const images = sandbox.path("images");
      mkdirSync(images);
      const container =
        command === "checkpoint" ? await runningProbe(sandbox) : withProbe(sandbox, withRules(ONE_DIRECTORY));
      const bundle = command === "checkpoint" ? [] : ["--bundle", container.bundle];
      expectRefusal(
        await sandbox.invoke([command, "--image-path", images, ...bundle, container.id]),
        `${POINTER}: a container with Landlock rules can't be checkpointed nor restored`,
      );
    },
    NO_PEER,
  );

spec(
  "doctor of a container with Landlock rules: says that the kernel does not show them",
  CLAUSE,
  async (sandbox) => {
    const container = await runningProbe(sandbox);
    const { stdout } = await sandbox.invoke(["doctor", container.id]);
    expect(stdout).toMatch(/note +landlock +set by create; the kernel does not show the rules of a process/);
  },
  NO_PEER,
);

import { existsSync } from "node:fs";
import { expect } from "vitest";
import {
  annotated,
  expectNothingMade,
  IGNORED,
  PIDFD,
  PROMISE,
  RECEIVER,
  STDERR,
  STDOUT,
  sayingHook,
} from "../harness/helpers/crun-annotations.ts";
import { findings, shown } from "../harness/helpers/validate.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

/** Annotations that the caller has to allow, that runts does not support, or that nobody knows. */

const OBEYED = "obeys every annotation, whoever has written it";

for (const key of [STDOUT, STDERR, RECEIVER, PIDFD]) {
  spec(
    `create, ${key} without --allow-annotation: error that names it, nothing is opened`,
    PROMISE,
    async (sandbox) => {
      const path = sandbox.path("named");
      const container = sandbox.shell(
        "true",
        annotated({ [key]: path }, (config) => {
          config.hooks = { createRuntime: [sayingHook("output", "error")] };
        }),
      );
      await expectNothingMade(sandbox, container, `/annotations/${key}: names a `);
      expectRefusal(await container.create(), inOurWords(`--allow-annotation ${key}`));
      expect(existsSync(path)).toBe(false);
      if (IS_RUNTS)
        expect((await findings(sandbox, container)).map(shown)).toContain(
          `error annotation /annotations/${key}`,
        );
    },
    { crun: OBEYED, runc: IGNORED },
  );
}

spec(
  "--allow-annotation with an unknown annotation: error",
  PROMISE,
  async (sandbox) => {
    const result = await sandbox.invoke(["--allow-annotation", "run.oci.handler", "list"]);
    expectRefusal(result, "must be one of run.oci.hooks.stdout, ");
  },
  { both: "has no such option" },
);

const refusedDeviations = byCase(
  {
    crun: "waits without end for the listener of a filter that has none",
    runc: IGNORED,
    cases: ["run.oci.seccomp.plugins"],
  },
  {
    crun: "obeys it, or ignores it",
    runc: IGNORED,
    cases: ["run.oci.seccomp_bpf_data", "run.oci.systemd.force_cgroup_v1", "run.oci.handler"],
  },
);

for (const [key, value] of [
  ["run.oci.seccomp.plugins", "/no/plugin.so"],
  ["run.oci.seccomp_bpf_data", "BgAAAAAA/38="],
  ["run.oci.systemd.force_cgroup_v1", "/sys/fs/cgroup/systemd"],
  ["run.oci.handler", "krun"],
] as const) {
  spec(
    `create, ${key}: error that names it, nothing left`,
    "promise: what is not supported is refused by name",
    async (sandbox) => {
      const container = sandbox.shell(
        "true",
        annotated({ [key]: value }, (config) => {
          config.linux.seccomp = {
            defaultAction: "SCMP_ACT_ALLOW",
            syscalls: [{ names: ["ptrace"], action: "SCMP_ACT_ERRNO" }],
          };
        }),
      );
      await expectNothingMade(sandbox, container, `/annotations/${key}: is not supported: `);
    },
    refusedDeviations(key),
  );
}

spec(
  "validate, an annotation of run.oci. that nobody knows: a warning",
  "promise: misspelt names are found",
  async (sandbox) => {
    const container = sandbox.shell("true", annotated({ "run.oci.delegate-cgrop": "payload" }));
    const [found] = await findings(sandbox, container);
    expect(found).toMatchObject({
      severity: "warning",
      pointer: "/annotations/run.oci.delegate-cgrop",
      hint: 'did you mean "run.oci.delegate-cgroup"?',
    });
    expect((await container.create()).code).toBe(0);
  },
  { both: "has no such command" },
);

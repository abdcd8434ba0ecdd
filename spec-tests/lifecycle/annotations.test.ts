import { expect } from "vitest";
import { setNamespace } from "../harness/config.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config.md, Annotations";

spec(
  "create, annotations with an empty key: error that names the property",
  `${CLAUSE}: keys MUST NOT be empty`,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.annotations = { "": "value" };
    });
    expectRefusal(await container.create(), IS_RUNTS ? "/annotations/: " : undefined);
    expect(await sandbox.traces()).toEqual([]);
  },
  { both: "not checked" },
);

spec(
  "create, unknown annotations, image annotations and an empty value: no effect, and state shows them",
  `${CLAUSE}: unknown keys MUST be ignored; org.opencontainers.image`,
  async (sandbox) => {
    const annotations = {
      "org.opencontainers.image.os": "windows",
      "org.opencontainers.image.architecture": "vax",
      "org.opencontainers.image.stopSignal": "SIGKILL",
      "com.example.unknown": "",
    };
    const container = sandbox.shell("trap 'exit 3' TERM; while :; do sleep 0.1; done", (config) => {
      config.annotations = annotations;
    });
    await container.started();
    expect((await container.state()).annotations).toEqual(annotations);
    expect((await container.state()).status).toBe("running");
  },
);

const deviations = byCase({
  runc: { reason: "does not know domainname yet", before: "1.3" },
  cases: ["domainname"],
});

for (const name of ["hostname", "domainname"] as const) {
  spec(
    `${name} without a uts namespace: error that names it`,
    `config.md, ${name}`,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        delete config.hostname;
        config[name] = "name.example";
        setNamespace(config, "uts", undefined);
      });
      expectRefusal(await container.create(), IS_RUNTS ? `/${name}: needs a uts namespace` : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(name),
  );
}

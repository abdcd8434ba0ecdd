import { lstatSync, readdirSync, type Stats } from "node:fs";
import { expect } from "vitest";
import { rootlessShell } from "../harness/host/user.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const HOST_NODE_BOUND = "without privileges, the host's node is bound, whatever the config says";

/** Only the host's root may make devices: a user gets the host's nodes, if they match the config. */
const CLAUSE = "config-linux.md, Devices: MUST error if it does not match";

const ZERO = { type: "c", path: "/dev/zero", major: 1, minor: 5 };

spec(
  "rootless run, devices that the host has: the host's nodes, whoever owns them",
  CLAUSE,
  async (sandbox) => {
    const container = rootlessShell(sandbox, "stat -c '%t:%T %a' /dev/zero /dev/full", (config) => {
      config.linux.devices = [
        { ...ZERO, fileMode: 0o666, uid: 0, gid: 0 },
        { type: "c", path: "/dev/full", major: 1, minor: 7 },
      ];
    });
    expect(await container.output()).toBe("1:5 666\n1:7 666\n");
  },
);

const deviations = byCase({
  both: HOST_NODE_BOUND,
  cases: ["whose name is another device's on the host", "with another mode than the host's"],
});

for (const [situation, device, pointer] of [
  ["that the host does not have", { ...ZERO, path: "/dev/none" }, ""],
  ["whose name is another device's on the host", { ...ZERO, path: "/dev/random" }, ""],
  ["with another mode than the host's", { ...ZERO, fileMode: 0o600 }, "/fileMode"],
] as const) {
  spec(
    `rootless create, devices ${situation}: error that names it`,
    CLAUSE,
    async (sandbox) => {
      const container = rootlessShell(sandbox, "true", (config) => {
        config.linux.devices = [device];
      });
      expectRefusal(await container.create(), inOurWords(`/linux/devices/0${pointer}: `));
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(situation),
  );
}

if (IS_RUNTS) {
  spec(
    "rootless devices add: error that names the right that is missing, and no node is left",
    "promise: node and rule, or neither",
    async (sandbox) => {
      const container = rootlessShell(sandbox, "exec sleep 1000", (config) => {
        config.root.readonly = false;
      });
      await container.started();
      const device = ["devices", "add", container.id, "/dev/full:/dev/added"];
      expectRefusal(
        await sandbox.invoke(device),
        /rootless caller can't change device rules: bpf\(2\) needs CAP_SYS_ADMIN on the host/,
      );
      expect((await container.exec(["ls", "/dev/added"])).stderr).toMatch(/No such file/);
    },
  );
}

/** A device of the host that only its owner may use. */
function privateDevice(): { readonly path: string; readonly status: Stats } | undefined {
  const nodes = readdirSync("/dev").map((name) => ({
    path: `/dev/${name}`,
    status: lstatSync(`/dev/${name}`),
  }));
  return nodes.find(
    ({ status }) => status.isCharacterDevice() && status.uid === 0 && (status.mode & 7) === 0,
  );
}

spec(
  "rootless create, devices with another owner than the host's: error that names it",
  CLAUSE,
  async (sandbox, context) => {
    const node = privateDevice();
    if (node === undefined) return context.skip("this machine has no device that only root may use");
    const { path, status } = node;
    const [major, minor] = [
      (status.rdev >> 8) & 0xfff,
      (status.rdev & 0xff) | ((status.rdev >> 12) & 0xfff00),
    ];
    const container = rootlessShell(sandbox, "true", (config) => {
      config.linux.devices = [{ type: "c", path, major, minor, fileMode: status.mode & 0o7777, uid: 0 }];
    });
    expectRefusal(await container.create(), inOurWords(`/linux/devices/0/uid: ${path} on the host has`));
    expect(await sandbox.traces()).toEqual([]);
  },
  { both: HOST_NODE_BOUND },
);

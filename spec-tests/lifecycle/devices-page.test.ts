import { spawnSync } from "node:child_process";
import { succeed } from "../harness/container.ts";
import { checkReadme } from "../harness/helpers/readme.ts";
import { spec } from "../harness/spec.ts";

spec(
  "devices in the page of the example: prints what the page says",
  "examples/devices",
  async (sandbox, context) => {
    if (spawnSync("sh", ["-c", ": < /dev/fuse"]).status !== 0) context.skip("this host has no /dev/fuse");
    const container = sandbox.shell("exec sleep 1000", (config) => {
      config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
      const names = ["CAP_MKNOD"];
      config.process.capabilities = { bounding: names, effective: names, permitted: names };
    });
    const create = ["create", "--bundle", container.bundle, "web"];
    succeed("create", await sandbox.invoke(create, { stdout: sandbox.path("stdout") }));
    succeed("start", await sandbox.invoke(["start", "web"]));
    try {
      await checkReadme(sandbox, "devices");
    } finally {
      await sandbox.invoke(["delete", "--force", "web"]);
    }
  },
  { both: "has no such command" },
);

import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { GuestContainer, GuestSandbox } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { byCase } from "../harness/peers.ts";

const CLAUSE = "CVE-2016-9962; proc_sys_fs(5), suid_dumpable";
const USER = 1000;
const BASE = 100_000;

/** The setting is one of the whole kernel, so only a guest can change it. */
async function whileDumpable(sandbox: GuestSandbox, body: () => Promise<void>): Promise<void> {
  await sandbox.guest.output("echo 1 > /proc/sys/fs/suid_dumpable");
  try {
    await body();
  } finally {
    await sandbox.guest.output("echo 0 > /proc/sys/fs/suid_dumpable");
  }
}

/** The executable and root of the container's init, as another process reads them; empty unless it may trace init (ptrace(2)). */
async function seen(sandbox: GuestSandbox, container: GuestContainer, as: string): Promise<string> {
  const pid = /"pid": (\d+)/.exec((await container.command("state")).stdout)?.[1];
  const look = `${as.replace("PID", `${pid}`)} /usr/bin/readlink /proc/${pid}/exe /proc/${pid}/root`;
  return (await sandbox.guest.run(look)).stdout;
}

function withoutCapabilities({ process }: Config): void {
  process.args = ["sleep", "999"];
  process.capabilities = {};
}

describeGuest("fs.suid_dumpable 1", () => {
  const deviations = byCase(
    { both: "with fs.suid_dumpable 1, init can be traced once it has changed its user", cases: ["a user"] },
    {
      runc: "with fs.suid_dumpable 1, init can be traced by the root of its user namespace",
      cases: ["the root of a user namespace"],
    },
  );

  for (const [whose, as, change] of [
    [
      "a user",
      `/usr/bin/setpriv --reuid ${USER} --regid ${USER} --clear-groups`,
      ({ process }) => {
        process.user = { uid: USER, gid: USER };
      },
    ],
    [
      "the root of a user namespace",
      "/usr/bin/nsenter --target PID --user --setuid 0 --setgid 0",
      ({ linux }) => {
        linux.namespaces.push({ type: "user" });
        linux.uidMappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
        linux.gidMappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
      },
    ],
  ] satisfies readonly [string, string, (config: Config) => void][]) {
    const title = `create and start as ${whose}, fs.suid_dumpable 1: processes of the same user can trace the program, but not the waiting init`;
    guestSpec(
      title,
      CLAUSE,
      (sandbox) =>
        whileDumpable(sandbox, async () => {
          const container = sandbox.container((config) => {
            withoutCapabilities(config);
            change(config);
          });
          await container.created();
          expect(await seen(sandbox, container, as)).toBe("");
          expect((await container.command("start")).code).toBe(0);
          await expect.poll(() => seen(sandbox, container, as), { timeout: 60_000 }).toMatch(/busybox\n\/\n/);
        }),
      deviations(whose),
    );
  }
});

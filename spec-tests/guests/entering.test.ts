import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { succeed } from "../harness/container.ts";
import { loadProfile } from "../harness/guests/apparmor.ts";
import { QEMU_GUEST } from "../harness/guests/qemu.ts";
import type { GuestSandbox } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { buildWatcher, findingsOf, parseReport, type Watched } from "../harness/helpers/watcher.ts";
import { which } from "../harness/runtime.ts";

/** Like security/entering-*.test.ts, with labels of processes, which need a security module. */

const CLAUSE = "CVE-2016-9962, CVE-2024-21626";
const PROFILE =
  "profile entering flags=(attach_disconnected) { file, capability, network, mount, umount, signal, ptrace, unix, }";

const NO_COMPILER = which("gcc") === undefined ? "needs gcc: apt-get install gcc" : undefined;

let reports = 0;

/** Runs a command of the runtime under the watcher, which lies in the exchange folder. */
async function watched(sandbox: GuestSandbox, ...args: readonly string[]): Promise<Watched> {
  const { guest } = sandbox;
  const program = join(guest.exchange, "watcher");
  if (!existsSync(program)) buildWatcher(program);
  reports += 1;
  const report = `/run/tmp/watched-${reports}`;
  sandbox.wrapper = ["/run/exchange/watcher", report, "0", "0"];
  succeed(args.join(" "), await sandbox.invoke(args, "> /dev/null"));
  sandbox.wrapper = [];
  return {
    ...parseReport(
      await guest.output(
        `until grep -E '}}$|"failed":true' ${report} > /dev/null; do sleep 0.2; done; cat ${report}`,
      ),
    ),
  };
}

/** Adds CAP_SYS_PTRACE, by which the container can look into other processes of root. */
function sleeping(config: Config): void {
  const capabilities = ["CAP_SYS_PTRACE"];
  config.process.capabilities = { bounding: capabilities, effective: capabilities, permitted: capabilities };
  config.process.args = ["sleep", "999"];
}

function confined(config: Config): void {
  sleeping(config);
  config.process.apparmorProfile = "entering";
}

function expectOutOfSight(seen: Watched, inSight: number): void {
  expect(findingsOf(seen)).toEqual([]);
  expect(seen.inSight).toBe(inSight);
  expect(seen.held).toContain("sealed executable");
}

function title(what: string): string {
  return `${what}, watched at each system call: no descriptor of the host in sight of the container`;
}

describeGuest(
  "processes that enter a container",
  () => {
    guestSpec(title("exec --apparmor"), CLAUSE, async (sandbox) => {
      await loadProfile(sandbox, PROFILE);
      const container = sandbox.container(sleeping);
      await container.started();
      expectOutOfSight(await watched(sandbox, "exec", "--apparmor", "entering", container.id, "true"), 1);
    });

    guestSpec(title("exec in a confined container"), CLAUSE, async (sandbox) => {
      await loadProfile(sandbox, PROFILE);
      const container = sandbox.container(confined);
      await container.started();
      expectOutOfSight(await watched(sandbox, "exec", container.id, "true"), 1);
    });

    guestSpec(title("create and start, apparmorProfile and a hook"), CLAUSE, async (sandbox) => {
      await loadProfile(sandbox, PROFILE);
      const container = sandbox.container((config) => {
        confined(config);
        config.process.args = ["true"];
        config.hooks = { startContainer: [{ path: "/bin/true", args: ["true"] }] };
      });
      expectOutOfSight(await watched(sandbox, "run", "--bundle", container.bundle, container.id), 2);
    });
  },
  { ...QEMU_GUEST, missing: QEMU_GUEST.missing ?? NO_COMPILER },
);

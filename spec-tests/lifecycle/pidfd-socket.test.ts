import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { expectInitAlone, running } from "../harness/exec.ts";
import {
  allowing,
  annotated,
  CLAUSE as CRUNS_CLAUSE,
  expectNothingMade,
  IGNORED,
  PIDFD,
} from "../harness/helpers/crun-annotations.ts";
import { openPidfdReceiver } from "../harness/helpers/pidfd.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const NO_PIDFD_SOCKET = { reason: "pressure and --pidfd-socket came with 1.2", before: "1.2" };
const KEEPS_CGROUP = "leaves the cgroup of a container whose pidfd it can't send";

const CLAUSE = "runc's --pidfd-socket: SCM_RIGHTS";

spec(
  "create --pidfd-socket: the socket gets a pidfd of init, and a signal by it ends init",
  CLAUSE,
  async (sandbox) => {
    const receiver = await openPidfdReceiver(sandbox);
    const container = sandbox.container();
    await container.created({ flags: ["--pidfd-socket", receiver.socket] });
    const { pid } = await container.state();
    expect(await receiver.received()).toEqual({ message: "standard", fds: 1, pid });
    await receiver.signal(9);
    await container.until("stopped");
  },
  { crun: "has neither events nor --pidfd-socket", runc: NO_PIDFD_SOCKET },
);

spec(
  "run --detach --pidfd-socket: the socket gets a pidfd of init",
  CLAUSE,
  async (sandbox) => {
    const receiver = await openPidfdReceiver(sandbox);
    const container = sandbox.shell("sleep 1000");
    const flags = ["--detach", "--pidfd-socket", receiver.socket];
    expect((await container.run({ flags })).code).toBe(0);
    expect(await receiver.received()).toEqual({
      message: "standard",
      fds: 1,
      pid: (await container.state()).pid,
    });
  },
  { crun: "has neither events nor --pidfd-socket", runc: NO_PIDFD_SOCKET },
);

spec(
  "exec --detach --pidfd-socket: the socket gets a pidfd of the process",
  CLAUSE,
  async (sandbox) => {
    const receiver = await openPidfdReceiver(sandbox);
    const container = await running(sandbox);
    const pidFile = sandbox.path("pid");
    const flags = ["--detach", "--pid-file", pidFile, "--pidfd-socket", receiver.socket];
    expect((await container.exec(["sleep", "1000"], { flags })).code).toBe(0);
    const pid = Number(container.printed(pidFile));
    expect(await receiver.received()).toEqual({ message: "setns", fds: 1, pid });
    await receiver.signal(9);
    const alive = () => sandbox.processes().some((line) => line.startsWith(`${pid} `));
    await expect.poll(alive).toBe(false);
  },
  { crun: "has neither events nor --pidfd-socket", runc: NO_PIDFD_SOCKET },
);

spec(
  "exec --pidfd-socket, in the foreground: a signal by the pidfd ends the process and sets the exit code",
  CLAUSE,
  async (sandbox) => {
    const receiver = await openPidfdReceiver(sandbox);
    const container = await running(sandbox);
    const result = await container.exec(["sleep", "1000"], {
      flags: ["--pidfd-socket", receiver.socket],
      whileRunning: async () => {
        const { message, fds, pid } = await receiver.received();
        expect([message, fds]).toEqual(["setns", 1]);
        // The pidfd arrives before the program is executed.
        await expect.poll(() => readFileSync(`/proc/${pid}/comm`, "utf8")).toBe("sleep\n");
        await receiver.signal(15);
      },
    });
    expect(result.code).toBe(128 + 15);
  },
  { crun: "has neither events nor --pidfd-socket", runc: NO_PIDFD_SOCKET },
);

spec(
  "create and exec --pidfd-socket without a listener: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    const flags = ["--pidfd-socket", sandbox.path("nobody.sock")];
    expectRefusal(await sandbox.container().create({ flags }), IS_RUNTS ? "nobody.sock" : undefined);
    expect(await sandbox.traces()).toEqual([]);
    const container = await running(sandbox);
    const result = await container.exec(["true"], { flags });
    expectRefusal(result, IS_RUNTS ? "nobody.sock" : undefined, 255);
    await expectInitAlone(sandbox);
  },
  { runc: { reason: "keeps the state of a container when it can't send the pidfd", from: "1.2" } },
);

spec(
  `create, ${PIDFD}: the socket gets a pidfd of init`,
  CRUNS_CLAUSE,
  async (sandbox) => {
    const receiver = await openPidfdReceiver(sandbox);
    const container = sandbox.shell("sleep 1000", annotated({ [PIDFD]: receiver.socket }));
    await container.created(allowing(PIDFD));
    const { pid } = await container.state();
    expect(await receiver.received()).toEqual({ message: " ", fds: 1, pid });
    await receiver.signal(9);
    await container.until("stopped");
  },
  { runc: IGNORED },
);

spec(
  `create, ${PIDFD}, nobody listens: error that names it, nothing left`,
  CRUNS_CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("true", annotated({ [PIDFD]: sandbox.path("nobody.sock") }));
    await expectNothingMade(sandbox, container, `/annotations/${PIDFD}: `, allowing(PIDFD));
  },
  { crun: KEEPS_CGROUP, runc: IGNORED },
);

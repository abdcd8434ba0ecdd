import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { DEFAULT_PATH } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { openServiceManager, send } from "../harness/helpers/notify.ts";
import { startPython } from "../harness/helpers/python-program.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const NOTIFY_OF_CRUN = "the socket is in a directory that only root may enter, and only READY=1 is passed on";
const NOTIFY_OF_RUNC =
  "only READY=1 is passed on; a container that never sends it keeps a detached run waiting, and a NOTIFY_SOCKET of the config is overridden";

const CLAUSE = "practice of runc and crun: sd_notify(3)";

/** A service of a user other than root. It writes the path of its socket to /tmp/where, and exits once there is a /tmp/end. */
function service(sandbox: Sandbox): Container {
  const script =
    '[ -S "$NOTIFY_SOCKET" ] && [ -w "$NOTIFY_SOCKET" ] && echo "$NOTIFY_SOCKET" > /tmp/new && mv /tmp/new /tmp/where; while [ ! -e /tmp/end ]; do sleep 0.05; done';
  return sandbox.shell(script, (config) => {
    config.process.user = { uid: 1000, gid: 1000 };
    config.root.readonly = false;
  });
}

/** Path of the container's socket on the host, once the service has written it. */
async function socketOf(container: Container): Promise<string> {
  const where = `${container.rootfs}/tmp/where`;
  await expect.poll(() => existsSync(where)).toBe(true);
  const { pid } = await container.state();
  return `/proc/${pid}/root${readFileSync(where, "utf8").trim()}`;
}

function end(container: Container): void {
  writeFileSync(`${container.rootfs}/tmp/end`, "");
}

spec(
  "run with NOTIFY_SOCKET: the container's READY=1 reaches it, sent by run",
  CLAUSE,
  async (sandbox) => {
    const manager = await openServiceManager(sandbox);
    const container = service(sandbox);
    const result = await container.run({
      env: { NOTIFY_SOCKET: manager.address },
      whileRunning: async (pid) => {
        send(await socketOf(container), "READY=1");
        const message = await manager.next();
        expect(message.text.trim().split("\n")).toContain("READY=1");
        expect(message.pid, "the main process of the service, which systemd listens to").toBe(pid);
        end(container);
      },
    });
    expect(result).toMatchObject({ code: 0, stderr: "" });
  },
  { crun: NOTIFY_OF_CRUN },
);

spec(
  "run with NOTIFY_SOCKET: states are passed on, also after READY=1; MAINPID, FDSTORE and NOTIFYACCESS are not",
  "promise: the container is not trusted with its service manager",
  async (sandbox) => {
    const manager = await openServiceManager(sandbox);
    const container = service(sandbox);
    await container.run({
      env: { NOTIFY_SOCKET: manager.address },
      whileRunning: async () => {
        const socket = await socketOf(container);
        send(socket, "STATUS=half way\nMAINPID=1", "READY=1\nFDSTORE=1", "NOTIFYACCESS=all", "WATCHDOG=1");
        // More than the socket's queue holds (net.unix.max_dgram_qlen), so that run has to read meanwhile.
        send(socket, ...Array.from({ length: 30 }, (_, index) => `STATUS=${index}`), "STOPPING=1");
        end(container);
      },
    });
    const texts = (await manager.rest()).map(({ text }) => text.trim());
    const last = texts.slice(-1);
    expect(texts.slice(0, 4)).toEqual(["STATUS=half way", "READY=1", "WATCHDOG=1", "STATUS=0"]);
    expect(texts).toHaveLength(34);
    expect(last).toEqual(["STOPPING=1"]);
  },
  { crun: NOTIFY_OF_CRUN, runc: NOTIFY_OF_RUNC },
);

spec(
  "run with NOTIFY_SOCKET, a burst of messages: slowed down, and all passed on in order",
  "promise: a container can't flood its service manager, and loses nothing by that",
  async (sandbox) => {
    const manager = await openServiceManager(sandbox);
    const container = service(sandbox);
    const states = Array.from({ length: 250 }, (_, index) => `STATUS=${index}`);
    await container.run({
      env: { NOTIFY_SOCKET: manager.address },
      whileRunning: async () => {
        send(await socketOf(container), ...states, "READY=1");
        const messages: string[] = [];
        while (messages.at(-1) !== "READY=1") messages.push((await manager.next()).text.trim());
        expect(messages).toEqual([...states, "READY=1"]);
        end(container);
      },
    });
  },
  { crun: NOTIFY_OF_CRUN, runc: NOTIFY_OF_RUNC },
);

for (const [situation, flags] of [
  ["run", []],
  ["run --detach", ["--detach"]],
] as const) {
  spec(
    `${situation} with NOTIFY_SOCKET, an endless flood of messages: ends when the container does`,
    "promise: a container can't flood its service manager",
    async (sandbox) => {
      const manager = await openServiceManager(sandbox);
      const container = service(sandbox);
      const { code, stderr } = await container.run({
        flags,
        env: { NOTIFY_SOCKET: manager.address },
        ...(flags.length > 0 && { stdout: sandbox.path("out") }),
        whileRunning: async () => {
          startPython(sandbox, "notify-flood.py", await socketOf(container), "4");
          // More than a burst may have.
          for (let count = 0; count < 150; count += 1) await manager.next();
          end(container);
        },
      });
      expect([code, stderr]).toEqual([0, ""]);
    },
    { crun: NOTIFY_OF_CRUN, runc: NOTIFY_OF_RUNC },
  );
}

spec(
  "run with NOTIFY_SOCKET, an endless flood of messages: SIGTERM is passed on meanwhile",
  "promise: a container can't keep signals from itself",
  async (sandbox) => {
    const manager = await openServiceManager(sandbox);
    const script =
      'trap "exit 7" TERM; echo "$NOTIFY_SOCKET" > /tmp/new; mv /tmp/new /tmp/where; while :; do sleep 0.05; done';
    const container = sandbox.shell(script, (config) => {
      config.root.readonly = false;
    });
    const { code } = await container.run({
      env: { NOTIFY_SOCKET: manager.address },
      whileRunning: async (pid) => {
        startPython(sandbox, "notify-flood.py", await socketOf(container), "4");
        for (let count = 0; count < 150; count += 1) await manager.next();
        process.kill(pid, "SIGTERM");
      },
    });
    expect(code).toBe(7);
  },
  { crun: NOTIFY_OF_CRUN, runc: NOTIFY_OF_RUNC },
);

spec(
  "start with NOTIFY_SOCKET, a container that run has started: refused, and run passes on the container's messages",
  "runtime.md, Start: an attempt to start a container that is not created MUST have no effect on the container",
  async (sandbox) => {
    const manager = await openServiceManager(sandbox);
    const env = { NOTIFY_SOCKET: manager.address };
    const container = service(sandbox);
    const result = await container.run({
      env,
      whileRunning: async (pid) => {
        const socket = await socketOf(container);
        expectRefusal(
          await sandbox.invoke(["start", container.id], { env }),
          inOurWords("cannot start an already running container"),
        );
        send(socket, "READY=1");
        const message = await manager.next();
        expect(message.text.trim().split("\n")).toContain("READY=1");
        expect(message.pid).toBe(pid);
        end(container);
      },
    });
    expect(result).toMatchObject({ code: 0, stderr: "" });
  },
  { crun: NOTIFY_OF_CRUN },
);

spec(
  "run --detach with NOTIFY_SOCKET: ends once the container is ready, and names it as the main process",
  CLAUSE,
  async (sandbox) => {
    const manager = await openServiceManager(sandbox);
    const container = service(sandbox);
    let ready = false;
    const result = await container.run({
      flags: ["--detach"],
      env: { NOTIFY_SOCKET: manager.address },
      stdout: sandbox.path("out"),
      whileRunning: async (pid) => {
        const socket = await socketOf(container);
        expect(existsSync(`/proc/${pid}`), "run still waits").toBe(true);
        ready = true;
        send(socket, "STATUS=starting", "READY=1");
      },
    });
    expect(ready).toBe(true);
    succeed("run", result);
    const messages = await manager.rest();
    const text = messages.map((message) => message.text).join("\n");
    expect(text).toMatch(/^READY=1$/m);
    expect(text).toMatch(new RegExp(`^MAINPID=${(await container.state()).pid}$`, "m"));
    expect(messages.filter(({ fds }) => fds > 0).map((message) => message.text)).toEqual(["BARRIER=1"]);
    end(container);
    await container.until("stopped");
  },
  {
    crun: NOTIFY_OF_CRUN,
    runc: { reason: NOTIFY_OF_RUNC, before: "1.3" },
  },
);

spec(
  "run --detach with NOTIFY_SOCKET, the container ends without READY=1: run ends, too",
  CLAUSE,
  async (sandbox) => {
    const manager = await openServiceManager(sandbox);
    const container = sandbox.shell("exit 3");
    const env = { NOTIFY_SOCKET: manager.address };
    succeed("run", await container.run({ flags: ["--detach"], env, stdout: sandbox.path("out") }));
    await container.until("stopped");
    expect((await manager.rest()).filter(({ text }) => text.includes("READY"))).toEqual([]);
  },
  { crun: NOTIFY_OF_CRUN, runc: NOTIFY_OF_RUNC },
);

spec(
  "start with NOTIFY_SOCKET: ends once the container is ready",
  CLAUSE,
  async (sandbox) => {
    const manager = await openServiceManager(sandbox);
    const env = { NOTIFY_SOCKET: manager.address };
    const container = service(sandbox);
    await container.created({ env });
    const result = await sandbox.invoke(["start", container.id], {
      env,
      whileRunning: async (pid) => {
        const socket = await socketOf(container);
        expect(existsSync(`/proc/${pid}`), "start still waits").toBe(true);
        send(socket, "READY=1");
      },
    });
    succeed("start", result);
    expect((await manager.rest())[0]?.text).toMatch(/^READY=1\n/);
    end(container);
    await container.until("stopped");
  },
  { crun: NOTIFY_OF_CRUN },
);

spec(
  "run with an abstract NOTIFY_SOCKET: READY=1 reaches it as well",
  "sd_notify(3): a leading @",
  async (sandbox) => {
    const manager = await openServiceManager(sandbox, `@${sandbox.tag}-notify`);
    const container = service(sandbox);
    await container.run({
      env: { NOTIFY_SOCKET: manager.address },
      whileRunning: async () => {
        send(await socketOf(container), "READY=1");
        expect((await manager.next()).text).toMatch(/^READY=1\n/);
        end(container);
      },
    });
  },
  { crun: NOTIFY_OF_CRUN },
);

spec(
  "run with NOTIFY_SOCKET in a user namespace: the container's user reaches its socket",
  CLAUSE,
  async (sandbox) => {
    const manager = await openServiceManager(sandbox);
    const container = service(sandbox);
    container.config.linux.namespaces.push({ type: "user" });
    container.config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 2000 }];
    container.config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 2000 }];
    container.writeConfig();
    await container.run({
      env: { NOTIFY_SOCKET: manager.address },
      whileRunning: async () => {
        send(await socketOf(container), "READY=1");
        expect((await manager.next()).text).toMatch(/^READY=1\n/);
        end(container);
      },
    });
  },
  { crun: NOTIFY_OF_CRUN },
);

spec(
  "run with NOTIFY_SOCKET, the config has its own: the container gets the config's",
  "engines: podman puts a proxy of its own into the container",
  async (sandbox) => {
    const manager = await openServiceManager(sandbox);
    const container = sandbox.shell('echo "$NOTIFY_SOCKET"; ls /run', (config) => {
      config.process.env = [DEFAULT_PATH, "NOTIFY_SOCKET=/run/own"];
      config.mounts.push({ destination: "/run", type: "tmpfs", source: "tmpfs" });
    });
    const env = { NOTIFY_SOCKET: manager.address };
    expect(await container.output({ env })).toBe("/run/own\n");
  },
  { crun: NOTIFY_OF_CRUN, runc: NOTIFY_OF_RUNC },
);

spec(
  "run with NOTIFY_SOCKET that nobody listens on: the container runs, with one warning",
  "promise: messages are no reason to fail",
  async (sandbox) => {
    const container = service(sandbox);
    const result = await container.run({
      env: { NOTIFY_SOCKET: sandbox.path("nobody.sock") },
      whileRunning: async () => {
        send(await socketOf(container), "READY=1", "STATUS=up", "WATCHDOG=1");
        end(container);
      },
    });
    expect(result.code).toBe(0);
    expect(result.stderr.match(/NOTIFY_SOCKET/g)).toHaveLength(1);
  },
  { crun: NOTIFY_OF_CRUN, runc: NOTIFY_OF_RUNC },
);

spec("run without NOTIFY_SOCKET: none in the container", CLAUSE, async (sandbox) => {
  const container = sandbox.shell('echo "[$NOTIFY_SOCKET]"; ls -d /run/notify', () => undefined);
  expect((await container.run()).stdout).toBe("[]\n");
});

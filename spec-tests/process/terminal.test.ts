import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { openConsole } from "../harness/helpers/console.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CONSOLE_SOCKET =
  "a console socket without a terminal is ignored, and the message that carries the descriptor is a single blank";

const CLAUSE = "config.md, process.terminal";

function terminal(config: Config): void {
  config.process.terminal = true;
}

spec(
  "create --console-socket: the pty master comes over the socket, named /dev/ptmx",
  "engines: SCM_RIGHTS",
  async (sandbox) => {
    const console = await openConsole(sandbox);
    const container = sandbox.shell("exit", terminal);
    await container.created({ flags: ["--console-socket", console.socket] });
    expect(await console.received()).toMatchObject({ name: "/dev/ptmx", fds: 1, tty: true });
  },
  {
    crun: CONSOLE_SOCKET,
    runc: { reason: "opens the terminal as /dev/pts/ptmx, and sends that name", from: "1.3" },
  },
);

spec(
  "create --console-socket: stdio is the terminal, which is the controlling terminal",
  CLAUSE,
  async (sandbox) => {
    const console = await openConsole(sandbox);
    const script =
      "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all-ttys; tty; echo via-dev-tty > /dev/tty; readlink /proc/self/fd/0";
    const container = sandbox.shell(script, terminal);
    const result = await container.started({ flags: ["--console-socket", console.socket] });
    await container.until("stopped");
    expect(await console.output()).toBe("all-ttys\r\n/dev/pts/0\r\nvia-dev-tty\r\n/dev/pts/0\r\n");
    expect(result.stdout).toBe("");
  },
);

spec(
  "create --console-socket: /dev/console is the terminal",
  `${CLAUSE}: bound to /dev/console`,
  async (sandbox) => {
    const console = await openConsole(sandbox);
    const container = sandbox.shell("stat -c %t:%T /dev/console; echo to-console > /dev/console", terminal);
    await container.started({ flags: ["--console-socket", console.socket] });
    await container.until("stopped");
    expect(await console.output()).toBe("88:0\r\nto-console\r\n");
  },
  { crun: { reason: "/dev/console is a symbolic link to the terminal, where it can be one", from: "1.28" } },
);

spec(
  "create --console-socket with consoleSize: the terminal has that size",
  "config.md, process.consoleSize",
  async (sandbox) => {
    const console = await openConsole(sandbox);
    const container = sandbox.shell("stty size", (config) => {
      terminal(config);
      config.process.consoleSize = { height: 33, width: 111 };
    });
    await container.started({ flags: ["--console-socket", console.socket] });
    await container.until("stopped");
    expect(await console.output()).toBe("33 111\r\n");
  },
);

spec(
  "create --console-socket as another user: the terminal belongs to it",
  "practice of runc and crun",
  async (sandbox) => {
    const console = await openConsole(sandbox);
    const container = sandbox.shell("stat -L -c %u /proc/self/fd/0", (config) => {
      terminal(config);
      config.process.user = { uid: 1000, gid: 1000 };
    });
    await container.started({ flags: ["--console-socket", console.socket] });
    await container.until("stopped");
    expect(await console.output()).toBe("1000\r\n");
  },
);

spec(
  "create --console-socket: typed text reaches the program, and Ctrl-C as SIGINT",
  CLAUSE,
  async (sandbox) => {
    const console = await openConsole(sandbox);
    const container = sandbox.shell(
      "trap 'echo interrupted; exit 4' INT; read line; echo got $line; while :; do sleep 0.05; done",
      terminal,
    );
    await container.started({ flags: ["--console-socket", console.socket] });
    console.type("typed words\n");
    await expect.poll(() => container.printed(console.file)).toContain("got typed words");
    console.type("\u0003");
    await container.until("stopped");
    const output = await console.output();
    expect(output).toContain("got typed words\r\n");
    expect(output).toContain("interrupted\r\n");
  },
);

spec(
  "run --detach --console-socket: works as create and start",
  "practice of runc and crun",
  async (sandbox) => {
    const console = await openConsole(sandbox);
    const container = sandbox.shell("tty", terminal);
    expect((await container.run({ flags: ["--detach", "--console-socket", console.socket] })).code).toBe(0);
    await container.until("stopped");
    expect(await console.output()).toBe("/dev/pts/0\r\n");
  },
);

spec(
  "create with a terminal but no --console-socket: error",
  "practice of runc and crun",
  async (sandbox) => {
    expectRefusal(await sandbox.shell("true", terminal).create(), inOurWords("/process/terminal: "));
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "create --console-socket without a terminal: error",
  "practice of runc and crun",
  async (sandbox) => {
    const console = await openConsole(sandbox);
    expectRefusal(
      await sandbox.shell("true").create({ flags: ["--console-socket", console.socket] }),
      inOurWords("/process/terminal: "),
    );
  },
  { crun: CONSOLE_SOCKET },
);

spec(
  "create --console-socket that nobody listens on: error, nothing left",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell("true", terminal);
    expectRefusal(
      await container.create({ flags: ["--console-socket", sandbox.path("nobody.sock")] }),
      inOurWords("/process/terminal: connect to the console socket"),
    );
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "create with consoleSize but no terminal: ignored",
  "config.md, process.consoleSize: MUST be ignored",
  async (sandbox) => {
    const container = sandbox.shell("echo ran", (config) => {
      config.process.consoleSize = { height: 1, width: 2 };
    });
    expect(await container.output()).toBe("ran\n");
  },
);

for (const [side, consoleSize] of [
  ["height", { height: 65_536, width: 80 }],
  ["width", { height: 24, width: 4_294_967_295 }],
] as const) {
  spec(
    `create with consoleSize of a ${side} that no terminal has: error that names it`,
    "config.md: unsupported values MUST error",
    async (sandbox) => {
      const console = await openConsole(sandbox);
      const container = sandbox.shell("true", (config) => {
        terminal(config);
        config.process.consoleSize = consoleSize;
      });
      expectRefusal(
        await container.create({ flags: ["--console-socket", console.socket] }),
        IS_RUNTS ? `/process/consoleSize/${side}: must be at most 65535` : undefined,
      );
      expect((await container.stateCommand()).code).not.toBe(0);
    },
    { both: "the size is cut to 16 bits" },
  );
}

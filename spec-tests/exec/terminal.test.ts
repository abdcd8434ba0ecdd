import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import { DEFAULT_PATH } from "../harness/config.ts";
import { expectInitAlone, running } from "../harness/exec.ts";
import { openConsole } from "../harness/helpers/console.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const SIZE_TOO_LATE = {
  reason: "sets the terminal's size when the program already runs",
  sometimes: true,
} as const;

const CLAUSE = "practice of runc and crun";

/** Runs the command on its own terminal: 30 rows, 90 columns. */
const ON_TERMINAL = [
  "python3",
  "-c",
  `
import fcntl, os, pty, struct, sys, termios
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    if not data:
        break
    os.write(1, data)
    if b"type now" in data:
        os.write(master, b"typed words\\n")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`,
];

spec(
  "exec --tty in the foreground: a terminal of the caller's size",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const script = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && tty; echo via-dev-tty > /dev/tty; stty size; exit 5";
    const result = await container.exec(["sh", "-c", script], { flags: ["--tty"], wrapper: ON_TERMINAL });
    expect(result.stdout.replaceAll("\r", "")).toBe("/dev/pts/0\nvia-dev-tty\n30 90\n");
    expect(result.code).toBe(5);
  },
  { runc: SIZE_TOO_LATE },
);

spec("exec --tty in the foreground: typed text reaches the program, echoed once", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const result = await container.exec(["sh", "-c", "echo type now; read line; echo got $line"], {
    flags: ["-t"],
    wrapper: ON_TERMINAL,
  });
  expect(result.stdout.replaceAll("\r", "")).toBe("type now\ntyped words\ngot typed words\n");
});

/**
 * Runs the command on its own terminal. Once it prints "type now", types lines without end, as fast as the terminal takes them, and
 * reads the output meanwhile. When the terminal has taken nothing for a second, makes the file /tmp/full in the rootfs, its first argument.
 */
const PASTING = `
import os, pty, select, sys
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
os.set_blocking(master, False)
typing, printed = False, b""
while True:
    readable, writable, _ = select.select([master], [master] if typing else [], [], 1)
    if typing and not readable and not writable:
        open(sys.argv[1] + "/tmp/full", "w").close()
    if readable:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        printed += data
        if b"type now" in data:
            typing = True
    if writable:
        os.write(master, b"0123456789\\n" * 100)
sys.stdout.buffer.write(printed)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

spec(
  "exec --tty, more input and output than terminals hold: neither blocks the other",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const result = await container.exec(
      ["sh", "-c", "echo type now; head -n 20000; echo all there; exit 5"],
      {
        flags: ["--tty"],
        wrapper: ["python3", "-c", PASTING, container.rootfs],
      },
    );
    expect(result.stdout).toContain("all there");
    expect(result.code).toBe(5);
  },
  {
    crun: {
      reason: "waits for the terminal to take all input before it reads output",
      sometimes: true,
    },
  },
);

spec(
  "exec --tty, unread input, and another process keeps the terminal open: exec ends with its own process",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.root.readonly = false;
    });
    const script =
      'stty raw -echo; (trap "" HUP; exec sleep 1000) & ' +
      "echo type now; until [ -e /tmp/full ]; do sleep 0.1; done; exit 5";
    const result = await container.exec(["sh", "-c", script], {
      flags: ["--tty"],
      wrapper: ["python3", "-c", PASTING, container.rootfs],
    });
    expect(result.code).toBe(5);
  },
);

spec("exec without --tty in a container with a terminal: no terminal", CLAUSE, async (sandbox) => {
  const console = await openConsole(sandbox);
  const container = sandbox.shell("exec sleep 1000", (config) => {
    config.process.terminal = true;
  });
  await container.started({ flags: ["--console-socket", console.socket] });
  const result = await container.exec(["sh", "-c", "[ -t 0 ] || [ -t 1 ] || echo no tty"]);
  expect(result.stdout).toBe("no tty\n");
});

spec(
  "exec --tty --detach --console-socket: the socket gets the master",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const console = await openConsole(sandbox);
    const script = "[ -t 0 ] && tty; echo via-dev-tty > /dev/tty; stat -L -c %u /proc/self/fd/0";
    const flags = ["--tty", "--detach", "--user", "1000", "--console-socket", console.socket];
    expect(await container.exec(["sh", "-c", script], { flags })).toEqual({
      code: 0,
      stdout: "",
      stderr: "",
    });
    expect(await console.received()).toMatchObject({ name: "/dev/ptmx", fds: 1, tty: true });
    expect(await console.output()).toBe("/dev/pts/0\r\nvia-dev-tty\r\n1000\r\n");
  },
  {
    crun: "the message with the descriptor of a terminal is one blank",
    runc: { reason: "opens the terminal as /dev/pts/ptmx, and sends that name", from: "1.3" },
  },
);

spec(
  "exec --process with terminal and consoleSize: a terminal of that size",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const console = await openConsole(sandbox);
    const process = {
      args: ["stty", "size"],
      cwd: "/",
      env: [DEFAULT_PATH],
      user: { uid: 0, gid: 0 },
      terminal: true,
      consoleSize: { height: 33, width: 111 },
    };
    writeFileSync(sandbox.path("process.json"), JSON.stringify(process));
    const flags = ["--detach", "--process", sandbox.path("process.json"), "--console-socket", console.socket];
    expect((await container.exec([], { flags })).code).toBe(0);
    expect(await console.output()).toBe("33 111\r\n");
  },
  { crun: SIZE_TOO_LATE },
);

spec("exec --tty: /dev/console stays as it is", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const before = (await container.exec(["cat", "/proc/self/mountinfo"])).stdout;
  await container.exec(["true"], { flags: ["--tty"], wrapper: ON_TERMINAL });
  expect((await container.exec(["cat", "/proc/self/mountinfo"])).stdout).toBe(before);
});

const deviations = byCase({
  crun: "exec checks neither a relative cwd nor a console socket without a terminal",
  cases: ["--detach --console-socket without --tty"],
});

for (const [situation, flags] of [
  ["--tty --detach without --console-socket", ["--tty", "--detach"]],
  ["--tty --console-socket in the foreground", ["--tty", "--console-socket", "/nobody.sock"]],
  ["--detach --console-socket without --tty", ["--detach", "--console-socket", "/nobody.sock"]],
  ["--tty --console-socket without a listener", ["--tty", "--detach", "--console-socket", "/nobody.sock"]],
] as const) {
  spec(
    `exec ${situation}: error, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = await running(sandbox);
      expectRefusal(
        await container.exec(["sleep", "1000"], { flags }),
        inOurWords("/process/terminal: "),
        255,
      );
      await expectInitAlone(sandbox);
    },
    deviations(situation),
  );
}

spec(
  "exec --tty, command not found: 255, nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const result = await container.exec(["no-such"], { flags: ["--tty"], wrapper: ON_TERMINAL });
    expect(result.code).toBe(255);
    await expectInitAlone(sandbox);
  },
  { crun: { reason: "exits with 1, not 255, if the program is not found", from: "1.28" } },
);

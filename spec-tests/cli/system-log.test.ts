import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { type PythonProgram, startPython } from "../harness/helpers/python-program.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "crun(1), --log";
// The working directory is the sandbox: runc makes a file of the name that --log gives.
const OPTION_OF_CRUN = "options of crun";
const JOURNAL = "/run/systemd/journal/socket";

/** A mount namespace whose /run has no services, and whose /dev has no syslog. */
const NO_SERVICES = `
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/dev /run/systemd/journal
mount -t tmpfs -o mode=755 tmpfs /run/dev
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /run/dev
mount --move /run/dev /dev`;

function inNamespace(script: string, ...args: string[]): string[] {
  const shift = `shift ${args.length}; exec "$@"`;
  return [
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-euc",
    `${NO_SERVICES}\n${script}\n${shift}`,
    "sh",
    ...args,
  ];
}

/** Listens at the socket of the journal, or of syslog, in a mount namespace of the commands. */
async function serviceAt(sandbox: Sandbox, place: string, ...state: "full"[]): Promise<PythonProgram> {
  const socket = sandbox.path("service.sock");
  const service = startPython(sandbox, "datagram-receiver.py", socket, ...state);
  await service.next();
  sandbox.wrapper = inNamespace(`touch ${place}; mount --bind "$1" ${place}`, socket);
  return service;
}

async function datagram(service: PythonProgram) {
  const limit = sleep(10_000, "", { ref: false });
  const line = await Promise.race([service.next(), limit]);
  expect(line, "a datagram within 10 s").not.toBe("");
  const { text, memory, seals } = parseObject(line);
  return { text: String(text), memory, seals };
}

/** Lines `FIELD=value` of the journal's native protocol. */
function fieldsOf(text: string): Record<string, string> {
  expect(text.endsWith("\n")).toBe(true);
  const lines = text.slice(0, -1).split("\n");
  return Object.fromEntries(
    lines.map((line): [string, string] => [
      line.slice(0, line.indexOf("=")),
      line.slice(line.indexOf("=") + 1),
    ]),
  );
}

spec(
  "--log journald:ID, create fails: one entry with message, priority, identifier, container and pointer; the same error on stderr",
  CLAUSE,
  async (sandbox) => {
    const service = await serviceAt(sandbox, JOURNAL);
    const container = sandbox.container((config) => {
      config.process.args = ["no-such-program"];
    });
    const result = await container.create({ globals: ["--log", "journald:web"], cwd: sandbox.directory });
    expectRefusal(result, "no-such-program");
    const { text, memory } = await datagram(service);
    expect(memory).toBe(false);
    const fields = fieldsOf(text);
    expect(fields.PRIORITY).toBe("3");
    expect(fields.MESSAGE).toContain("no-such-program");
    expect(result.stderr).toContain(fields.MESSAGE ?? "none");
    expect(fields).toMatchObject({
      SYSLOG_IDENTIFIER: "web",
      CONTAINER_ID: container.id,
      RUNTS_POINTER: "/process/args/0",
    });
    expectRefusal(await container.stateCommand(), "does not exist");
  },
  {
    crun: "its entries name neither the identifier nor the container, and stderr stays empty",
    runc: OPTION_OF_CRUN,
  },
);

spec(
  "--log journald: without an identifier, --log-level debug: entries of runts for each step",
  CLAUSE,
  async (sandbox) => {
    const service = await serviceAt(sandbox, JOURNAL);
    const container = sandbox.shell("true");
    const globals = ["--log", "journald:", "--log-level", "debug"];
    expect(await container.create({ globals, cwd: sandbox.directory })).toMatchObject({
      code: 0,
      stderr: "",
    });
    for (;;) {
      const fields = fieldsOf((await datagram(service)).text);
      expect(fields).toMatchObject({ PRIORITY: "7", SYSLOG_IDENTIFIER: "runts" });
      if (fields.RUNTS_POINTER === "/mounts/0") break;
    }
  },
  { both: "logs other steps, if any" },
);

spec(
  "--log journald:ID, an error longer than a datagram: comes in a sealed memory file",
  "systemd.io/JOURNAL_NATIVE_PROTOCOL",
  async (sandbox) => {
    const service = await serviceAt(sandbox, JOURNAL);
    const name = "x".repeat(300_000);
    const container = sandbox.container((config) => {
      config.process.args = [name];
    });
    const { code } = await container.create({ globals: ["--log", "journald:web"], cwd: sandbox.directory });
    expect(code).not.toBe(0);
    const { text, memory, seals } = await datagram(service);
    expect({ memory, seals }).toEqual({ memory: true, seals: 0xf });
    expect(fieldsOf(text).MESSAGE).toMatch(/^.{1000}/);
  },
  { both: "quotes no such values" },
);

spec(
  "--log syslog:ID, create fails: one datagram with priority, identifier and message",
  `${CLAUSE}; RFC 3164`,
  async (sandbox) => {
    const service = await serviceAt(sandbox, "/dev/log");
    const container = sandbox.container((config) => {
      config.process.args = ["no-such-program"];
    });
    expect(
      (await container.create({ globals: ["--log", "syslog:web"], cwd: sandbox.directory })).code,
    ).not.toBe(0);
    const { text } = await datagram(service);
    // LOG_USER and LOG_ERR. The time is optional: RFC 3164, 4.3.2.
    expect(text).toMatch(/^<11>(?:[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d )?web: .*no-such-program/);
  },
  { runc: OPTION_OF_CRUN },
);

for (const [log, place] of [
  ["journald:web", JOURNAL],
  ["syslog:web", "/dev/log"],
] as const) {
  spec(
    `--log ${log}, nobody listens: error that says so, nothing is done`,
    "promise: a log that can't be written is an error, as a file is",
    async (sandbox) => {
      sandbox.wrapper = inNamespace(":");
      const container = sandbox.shell("true");
      expectRefusal(
        await container.create({ globals: ["--log", log], cwd: sandbox.directory }),
        inOurWords(`open log: --log ${log}: no service listens at ${place}`),
      );
      expect(await sandbox.traces()).toEqual([]);
      expect(existsSync(sandbox.path(log))).toBe(false);
    },
    { crun: "loses the messages", runc: "makes a file of this name" },
  );
}

for (const [log, place] of [
  ["journald:web", JOURNAL],
  ["syslog:web", "/dev/log"],
] as const) {
  spec(
    `--log ${log} --log-level debug, the service's queue is full: create and start go on, without the entries`,
    "promise: logging never holds up a command",
    async (sandbox) => {
      await serviceAt(sandbox, place, "full");
      const container = sandbox.shell("echo ran");
      const globals = ["--log", log, "--log-level", "debug"];
      const created = await container.create({ globals, cwd: sandbox.directory, timeoutMs: 25_000 });
      expect(created.code).toBe(0);
      expect((await container.start()).code).toBe(0);
      await expect.poll(() => container.printed()).toBe("ran");
    },
    { both: "waits for the service, or logs less" },
  );
}

/** Starts a journald of its own, runs the command, and writes what the journal has of `web` to a file. */
const WITH_JOURNALD = `
out=$1; shift
mkdir -p /run/log/journal
/usr/lib/systemd/systemd-journald >/dev/null 2>&1 &
journald=$!
until [ -S ${JOURNAL} ] && journalctl --sync 2>/dev/null; do kill -0 $journald; sleep 0.05; done
code=0; "$@" || code=$?
journalctl --sync
journalctl --directory /run/log/journal --identifier web --output json >"$out" || :
kill $journald; wait $journald || :
exit $code`;

spec(
  "--log journald:ID with systemd-journald: the journal has the entry",
  CLAUSE,
  async (sandbox, context) => {
    if (!existsSync("/usr/lib/systemd/systemd-journald")) context.skip("systemd-journald is not installed");
    if (!existsSync("/etc/machine-id"))
      context.skip("the machine has no /etc/machine-id, which journald needs");
    const out = sandbox.path("journal.json");
    writeFileSync(out, "");
    sandbox.wrapper = inNamespace(WITH_JOURNALD, out);
    const container = sandbox.container((config) => {
      config.process.args = ["no-such-program"];
    });
    expectRefusal(
      await container.create({ globals: ["--log", "journald:web"], cwd: sandbox.directory }),
      "no-such-program",
    );
    const [line = "{}"] = readFileSync(out, "utf8").split("\n");
    const { MESSAGE, PRIORITY, CONTAINER_ID, _TRANSPORT } = asObject(JSON.parse(line || "{}"));
    expect({ PRIORITY, CONTAINER_ID, _TRANSPORT }).toEqual({
      PRIORITY: "3",
      CONTAINER_ID: container.id,
      _TRANSPORT: "journal",
    });
    expect(MESSAGE).toContain("no-such-program");
  },
  { crun: "its entries name neither the identifier nor the container", runc: OPTION_OF_CRUN },
);

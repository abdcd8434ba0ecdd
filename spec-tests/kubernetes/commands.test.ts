import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { runCommand } from "../harness/engines/engine.ts";
import { check, type Scope } from "../harness/kubernetes/check.ts";
import { eventually } from "../harness/kubernetes/eventually.ts";
import { BUSYBOX, WEB_SERVER } from "../harness/kubernetes/images.ts";
import { HOME } from "../harness/kubernetes/places.ts";
import { container, podSpec } from "../harness/kubernetes/pods.ts";

const onTerminal = join(import.meta.dirname, "../harness/helpers/on-terminal.py");

/** A command of kubectl on a terminal. */
async function inTerminal(scope: Scope, ...args: readonly string[]): Promise<string> {
  const command = ["python3", onTerminal, ...scope.words(...args)];
  const { stdout } = await runCommand(command, { env: { HOME } });
  return stdout.replaceAll("\r\n", "\n");
}

check("exec: output, errors and exit code", async ({ pods }) => {
  await pods.start("pod", podSpec(container()));
  const { code, stdout, stderr } = await pods.shell("pod", "echo out; echo err >&2; exit 42");
  expect({ code, stdout }).toEqual({ code: 42, stdout: "out\n" });
  expect(stderr).toBe("err\ncommand terminated with exit code 42\n");
});

check("exec -i: input arrives as a whole", async (scope) => {
  await scope.pods.start("pod", podSpec(container()));
  const input = randomBytes(300_000).toString("hex");
  expect(await scope.feed(input, "exec", "-i", "pod", "--", "cat")).toBe(input);
});

check("exec -it: the command has a terminal", async (scope) => {
  await scope.pods.start("pod", podSpec(container()));
  const output = await inTerminal(
    scope,
    "exec",
    "-it",
    "pod",
    "--",
    "sh",
    "-c",
    "tty; test -t 0 && echo input",
  );
  expect(output).toMatch(/\/dev\/pts\/0\ninput\n/);
});

check("exec, command not found: error with the runtime's reason", async (scope) => {
  await scope.pods.start("pod", podSpec(container()));
  const { code, stderr } = await scope.call("exec", "pod", "--", "no-such-command");
  expect(code).not.toBe(0);
  expect(stderr).toContain('exec: "no-such-command": executable file not found in $PATH');
});

check("exec in one of two containers: it is in that one", async (scope) => {
  await scope.pods.start("pod", podSpec([container(), container(undefined, { name: "other" })]));
  await scope.pods.output("pod", "touch /here", "other");
  expect((await scope.pods.shell("pod", "ls /here", "other")).code).toBe(0);
  expect((await scope.pods.shell("pod", "ls /here", "main")).code).toBe(1);
});

check("attach -i: input reaches the container's program, and its output comes back", async (scope) => {
  const script = "read line; echo got $line; sleep 2";
  const pod = podSpec(container(script, { stdin: true, stdinOnce: true }), { restartPolicy: "Never" });
  await scope.pods.start("pod", pod);
  expect(await scope.feed("hello\n", "attach", "-i", "pod")).toContain("got hello\n");
  expect((await scope.pods.ended("pod")).exitCode).toBe(0);
});

check("attach to a terminal: the container's program has one", async (scope) => {
  // Only who is attached sees the question, and answers it.
  const script = "until read -t 1 line; do echo type now; done; tty; echo end";
  const pod = podSpec(container(script, { stdin: true, tty: true }), { restartPolicy: "Never" });
  await scope.pods.start("pod", pod);
  expect(await inTerminal(scope, "attach", "-it", "pod")).toMatch(/\/dev\/pts\/0\nend\n/);
});

check("run -i --rm: a pod for one command", async (scope) => {
  const args = ["run", "once", `--image=${BUSYBOX}`, "--restart=Never", "-i", "--rm", "--quiet"];
  const output = await scope.feed("a\nb\n", ...args, "--", "wc", "-l");
  expect(output).toContain("2\n");
  await eventually(
    async () => (await scope.call("get", "pod", "once")).code,
    (found) => expect(found).toBe(1),
  );
});

check("logs: both streams, the last lines, with times", async (scope) => {
  const { log } = await scope.pods.run("for i in 1 2 3; do echo line $i; done; echo err >&2");
  expect(log.split("\n").sort()).toEqual(["", "err", "line 1", "line 2", "line 3"]);
  expect(await scope.ok("logs", "once", "--tail=1")).toMatch(/^(err|line 3)\n$/);
  expect(await scope.ok("logs", "once", "--timestamps")).toMatch(/^\d{4}-\d\d-\d\dT\S+Z line 1$/m);
});

check("logs -f: follows up to the container's end", async (scope) => {
  const script = "for i in 1 2 3 4; do echo line $i; sleep 1; done";
  await scope.pods.start("pod", podSpec(container(script), { restartPolicy: "Never" }));
  expect(await scope.ok("logs", "-f", "pod")).toBe("line 1\nline 2\nline 3\nline 4\n");
});

check("logs --previous: those of the container before the restart", async (scope) => {
  const script =
    "if test -e /data/second; then echo second; exec sleep 1000; fi; touch /data/second; echo first";
  const volumeMounts = [{ name: "data", mountPath: "/data" }];
  const volumes = [{ name: "data", emptyDir: {} }];
  await scope.pods.create("pod", podSpec(container(script, { volumeMounts }), { volumes }));
  await scope.pods.state(
    "pod",
    ({ restartCount, state }) => restartCount === 1 && state.running !== undefined,
  );
  expect(await scope.ok("logs", "pod", "--previous")).toBe("first\n");
  await eventually(
    () => scope.ok("logs", "pod"),
    (found) => expect(found).toBe("second\n"),
  );
});

check("port-forward: a connection to the local port reaches the pod", async (scope, { onTestFinished }) => {
  await scope.pods.start("pod", podSpec({ name: "main", image: WEB_SERVER }));
  const [program = "", ...args] = scope.words("port-forward", "pod/pod", ":80");
  const forwarding = spawn(program, args, { env: { HOME }, stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    forwarding.kill();
  });
  const port = await new Promise<string>((resolve, reject) => {
    forwarding.stdout.on("data", (data) => resolve(/127\.0\.0\.1:(\d+)/.exec(String(data))?.[1] ?? ""));
    forwarding.on("exit", () => reject(new Error("port-forward has ended")));
  });
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  expect(await answer.text()).toContain("It works!");
});

check("cp: a file arrives in the pod and comes back unchanged", async (scope, { onTestFinished }) => {
  await scope.pods.start("pod", podSpec(container()));
  const folder = mkdtempSync(join(tmpdir(), "kubectl-cp-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const content = randomBytes(1_000_000);
  writeFileSync(join(folder, "there"), content);
  await scope.ok("cp", join(folder, "there"), "pod:/tmp/file");
  expect(await scope.pods.output("pod", "wc -c </tmp/file")).toBe("1000000\n");
  await scope.ok("cp", "pod:/tmp/file", join(folder, "back"));
  expect(readFileSync(join(folder, "back")).equals(content)).toBe(true);
});

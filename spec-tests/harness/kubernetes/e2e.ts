import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../engines/engine.ts";
import { PATH } from "../runtime.ts";
import { HOME, KUBECONFIG, LOGS, NODES, PROGRAMS } from "./places.ts";

/** Tests of Kubernetes' own suite, by regular expressions for their names. */
export interface Selection {
  readonly focus: string;
  readonly skip: string;
}

export interface E2eResult {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** Why it has failed. */
  readonly message: string;
}

const SUITE = join(PROGRAMS, "e2e.test");

/** A test mostly waits for the cluster. */
const AT_ONCE = 6;

/** Names of all tests that match a regular expression. */
export async function listE2e(focus: string): Promise<string[]> {
  const reports = emptyFolder("e2e-list");
  const words = ["--ginkgo.dryRun", `--ginkgo.focus=${focus}`, `--report-dir=${reports}`];
  await run([SUITE, ...words], 120_000);
  return readReports(reports).map(({ name }) => name);
}

/** Runs the selected tests on the cluster. Each result has the name that `listE2e` says. */
export async function runE2e({ focus, skip }: Selection, timeoutMs: number): Promise<E2eResult[]> {
  const reports = emptyFolder("e2e-run");
  const ofGinkgo = [
    "-noColor",
    `-nodes=${AT_ONCE}`,
    `-timeout=${timeoutMs}ms`,
    `-focus=${focus}`,
    `-skip=${skip}`,
  ];
  const ofSuite = [
    `--report-dir=${reports}`,
    "--provider=skeleton",
    `--kubeconfig=${KUBECONFIG}`,
    `--kubectl-path=${join(PROGRAMS, "kubectl")}`,
    `--num-nodes=${NODES}`,
    // Anything but docker: tests of RuntimeClass then use the handler test-handler.
    "--container-runtime=remote",
    "--dump-logs-on-failure=false",
  ];
  await run([join(PROGRAMS, "ginkgo"), ...ofGinkgo, SUITE, "--", ...ofSuite], timeoutMs + 60_000);
  return readReports(reports);
}

/** The exit code is that of failed tests too. Whether all tests have run is seen by their results. */
async function run(command: readonly string[], timeoutMs: number): Promise<void> {
  const env = { HOME, TMPDIR: emptyFolder("e2e-tmp"), PATH: `${PROGRAMS}:${PATH}` };
  const { stdout, stderr } = await runCommand(command, { env, timeoutMs, cwd: HOME });
  writeFileSync(join(LOGS, "e2e.log"), stdout + stderr);
}

function emptyFolder(name: string): string {
  const folder = join(HOME, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  return folder;
}

/**
 * Results in JUnit's format. Each of the processes that work at once writes a file, in which the tests of the others, and those that are not
 * selected, are skipped and have taken no time. A test that skips itself has taken some.
 */
function readReports(folder: string): E2eResult[] {
  const files = readdirSync(folder).filter((name) => name.endsWith(".xml"));
  return files.flatMap((file) => {
    const text = readFileSync(join(folder, file), "utf8");
    const cases = text.matchAll(/<testcase name="([^"]*)"([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g);
    return [...cases].flatMap(([, name = "", attributes = "", content = ""]) => {
      const message = /<failure[^>]*>([\s\S]*?)<\/failure>/.exec(content)?.[1];
      const isSkipped = content.includes("<skipped");
      if (isSkipped && / time="0"/.test(attributes)) return [];
      return {
        name: unescapeXml(name),
        outcome: message !== undefined ? "failed" : isSkipped ? "skipped" : "passed",
        message: unescapeXml(message ?? ""),
      };
    });
  });
}

function unescapeXml(text: string): string {
  const named: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(?:#x([0-9a-fA-F]+)|#(\d+)|(\w+));/g, (all, hex, decimal, name) => {
    if (name !== undefined) return named[name] ?? all;
    return String.fromCodePoint(Number.parseInt(hex ?? decimal, hex === undefined ? 10 : 16));
  });
}

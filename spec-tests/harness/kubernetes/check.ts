import { expect, type TestContext } from "vitest";
import { judgedTest, type TestOptions } from "../judged-test.ts";
import { RUNTIME } from "../runtime.ts";
import { eventually } from "./eventually.ts";
import { Kubectl } from "./kubectl.ts";
import { Pods } from "./pods.ts";

/** What one test has of the cluster: a namespace of its own. */
export class Scope extends Kubectl {
  readonly pods: Pods;

  constructor(namespace: string) {
    super(namespace);
    this.pods = new Pods(this);
  }
}

let namespaces = 0;

export interface CheckOptions extends TestOptions {
  /** Needs the whole cluster. */
  readonly alone?: true;
}

/** One thing that people do with Kubernetes, in a namespace of its own. Several of these run at once, unless one has to be alone. */
export function check(
  title: string,
  body: (scope: Scope, context: TestContext) => Promise<void>,
  { alone, ...options }: CheckOptions = {},
): void {
  const run = async (context: TestContext): Promise<void> => {
    const name = `check-${process.pid}-${++namespaces}`;
    const scope = new Scope(name);
    await makeNamespace(name);
    try {
      await body(scope, context);
    } catch (error) {
      if (error instanceof Error) error.message += `\n${await describeFailure(scope)}`;
      throw error;
    } finally {
      await scope.ok("delete", "namespace", name, "--wait=false");
    }
  };
  judgedTest({ title, path: RUNTIME, concurrent: alone !== true, ...options }, run);
}

/** Makes a namespace that pods can be made in. */
export async function makeNamespace(name: string): Promise<void> {
  const cluster = new Kubectl();
  await cluster.ok("create", "namespace", name);
  // Pods are refused before their account is there.
  const account = async () => (await cluster.call("-n", name, "get", "serviceaccount", "default")).code;
  await eventually(account, (found) => expect(found).toBe(0));
}

/** Pods and events of a test that has failed. */
export async function describeFailure(scope: Scope): Promise<string> {
  const pods = await scope.call("get", "pods", "-o", "wide");
  const events = await scope.call("get", "events", "--sort-by=.lastTimestamp");
  return `${pods.stdout}${events.stdout.slice(-3000)}`;
}

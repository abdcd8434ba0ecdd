import { expect } from "vitest";
import { containerdTests } from "../harness/engines/containerd.ts";
import { failsSinceContainerd, needsContainerd } from "../harness/engines/containerd-settings.ts";
import { lines, runCommand } from "../harness/engines/engine.ts";
import { inPod } from "../harness/engines/pods.ts";
import { RUNTIME } from "../harness/runtime.ts";

const check = containerdTests();

check(
  "CRI status: the RuntimeClass has recursive read-only mounts and user namespaces, by the runtime's features",
  async ({ cri }, context) => {
    needsContainerd("2.0", context);
    const handlers = await cri.handlers();
    expect(handlers).toMatchObject({ runts: { recursiveReadOnlyMounts: true, userNamespaces: true } });
  },
);

check("plugins inspect-runtime: the shim understands the runtime's features", async (engine, context) => {
  needsContainerd("2.0", context);
  const shown = await engine.call("plugins", "inspect-runtime", "--runc-binary", RUNTIME);
  expect(shown).toMatchObject({ code: 0, stderr: "" });
  const told = JSON.parse((await runCommand([RUNTIME, "features"])).stdout);
  const { Features } = JSON.parse(shown.stdout);
  for (const name of ["ociVersionMin", "ociVersionMax", "hooks", "mountOptions"])
    expect(Features[name], name).toEqual(told[name]);
  expect(Features.linux).toMatchObject({
    namespaces: told.linux.namespaces,
    capabilities: told.linux.capabilities,
    mountExtensions: { idmap: { enabled: true } },
    seccomp: told.linux.seccomp,
  });
});

check("sandboxes list: each pod is a sandbox of the podsandbox controller", async (engine, context) => {
  needsContainerd("2.0", context);
  const sandboxes = async (): Promise<string[]> => {
    const { stdout } = await engine.call("--namespace", "k8s.io", "sandboxes", "list");
    return lines(stdout).slice(1);
  };
  await inPod(engine, { name: "first" }, async (_start, first) => {
    await inPod(engine, { name: "second" }, async (_other, second) => {
      const listed = await sandboxes();
      expect(listed).toHaveLength(2);
      for (const pod of [first, second])
        expect(listed).toContainEqual(
          expect.stringMatching(new RegExp(`^${pod} .* io\\.containerd\\.runc\\.v2`)),
        );
    });
  });
  expect(await sandboxes()).toEqual([]);
});

check("CRI pod, its sandbox killed: the pod is no longer ready, and another can be run", async (engine) => {
  await inPod(engine, {}, async (start, pod) => {
    await start();
    process.kill(await engine.cri.podPid(pod), "SIGKILL");
    await expect.poll(async () => (await engine.cri.podInfo(pod)).ready).toBe(false);
  });
  await inPod(engine, {}, async (start) => {
    expect((await engine.cri.exec(await start(), "echo", "again")).stdout).toBe("again\n");
  });
  // Shims that stay are the next check's subject.
  engine.killShims();
});

check(
  "CRI pod, its sandbox killed: its shim ends with the pod",
  async (engine) => {
    await inPod(engine, {}, async (start, pod) => {
      await start();
      process.kill(await engine.cri.podPid(pod), "SIGKILL");
      await expect.poll(async () => (await engine.cri.podInfo(pod)).ready).toBe(false);
    });
  },
  failsSinceContainerd("2", 10421, { reason: "the shim stays", shows: /'shim \d+ /, sometimes: true }),
);

import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect } from "vitest";
import {
  checkpoint,
  count,
  countAbove,
  counting,
  criuSpec,
  hasFeature,
  imagesIn,
  NO_STREAMS,
  restore,
  succeeded,
} from "../harness/helpers/checkpoint.ts";
import { parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";

const CLAUSE = "practice of runc";

/** A free TCP port. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** Starts criu beside the runtime, and kills it at the end of the test. */
function startCriu(
  sandbox: Sandbox,
  args: readonly string[],
): { child: ChildProcess; ended: Promise<number> } {
  const child = spawn("criu", [...args], { stdio: "ignore" });
  const ended = new Promise<number>((resolve) => child.once("exit", (code) => resolve(code ?? 128)));
  sandbox.atEnd(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return { child, ended };
}

criuSpec(
  "checkpoint --lazy-pages, restore --lazy-pages: memory is transferred when it is needed",
  CLAUSE,
  async (sandbox, context) => {
    if (!hasFeature("uffd-noncoop"))
      context.skip("the kernel has no userfaultfd for this: criu check --feature uffd-noncoop");
    const container = await counting(sandbox);
    await countAbove(container, 5);
    const images = imagesIn(sandbox);
    const port = await freePort();
    const status = sandbox.path("status");
    const dumping = sandbox.invoke(
      [
        "checkpoint",
        ...images.flags,
        "--lazy-pages",
        "--page-server",
        `127.0.0.1:${port}`,
        "--status-fd",
        "3",
        container.id,
      ],
      { wrapper: ["sh", "-c", 'exec "$@" 3>"$0"', status], timeoutMs: 60_000 },
    );
    await expect.poll(() => existsSync(status) && statSync(status).size).toBe(1);
    const saved = count(container);
    const work = sandbox.path("lazy");
    mkdirSync(work);
    const server = ["--page-server", "--address", "127.0.0.1", "--port", String(port)];
    const pages = startCriu(sandbox, [
      "lazy-pages",
      ...server,
      "-D",
      images.images,
      "-W",
      work,
      "-o",
      "lazy.log",
    ]);
    await expect.poll(() => existsSync(`${work}/lazy-pages.socket`)).toBe(true);
    // The saved container exists until all its memory is transferred. So the restored one needs another id and cgroup.
    const other = `${container.id}-other`;
    container.config.linux.cgroupsPath = `/${other}`;
    container.writeConfig();
    sandbox.atEnd(async () => void (await sandbox.invoke(["delete", "--force", other])));
    const flags = ["--bundle", container.bundle, "--image-path", images.images, "--work-path", work];
    const restoring = sandbox.invoke(["restore", "--detach", "--lazy-pages", ...flags, other], {
      ...NO_STREAMS,
    });
    const [restored, dumped] = await Promise.all([restoring, dumping]);
    // A known problem of criu 4.1.1 on Linux 6.18, with runc too.
    if (dumped.code !== 0 && /splice: -1: Bad file descriptor/.test(images.log("dump.log")))
      context.skip("criu can't transfer lazy pages on this kernel: splice: Bad file descriptor");
    succeeded(dumped, images, "dump.log");
    expect(restored.code).toBe(0);
    expect(await pages.ended).toBe(0);
    expect((await container.stateCommand()).stderr).toContain("does not exist");
    expect(parseObject((await sandbox.invoke(["state", other])).stdout).status).toBe("running");
    await countAbove(container, saved);
    expect((await sandbox.invoke(["delete", "--force", other])).code).toBe(0);
  },
);

criuSpec(
  "checkpoint --page-server: memory goes to the server, not to the images",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox);
    await countAbove(container, 5);
    const images = imagesIn(sandbox);
    const port = await freePort();
    const elsewhere = sandbox.path("elsewhere");
    mkdirSync(elsewhere);
    const address = ["--address", "127.0.0.1", "--port", String(port)];
    const server = startCriu(sandbox, [
      "page-server",
      ...address,
      "--images-dir",
      elsewhere,
      "-o",
      "server.log",
    ]);
    await expect.poll(() => existsSync(`${elsewhere}/server.log`)).toBe(true);
    let result = await checkpoint(sandbox, container, images, "--page-server", `127.0.0.1:${port}`);
    // The log exists before the server listens.
    for (
      let attempt = 0;
      result.code !== 0 && attempt < 20 && /onnect/.test(images.log("dump.log"));
      attempt++
    )
      result = await checkpoint(sandbox, container, images, "--page-server", `127.0.0.1:${port}`);
    succeeded(result, images, "dump.log");
    expect(await server.ended).toBe(0);
    const pages = readdirSync(elsewhere).filter((name) => /^page/.test(name));
    expect(pages.filter((name) => name.startsWith("pages-"))).not.toEqual([]);
    expect(existsSync(`${images.images}/pages-1.img`)).toBe(false);
    for (const name of pages) copyFileSync(join(elsewhere, name), join(images.images, name));
    const saved = count(container);
    succeeded(await restore(sandbox, container, images), images, "restore.log");
    await countAbove(container, saved);
  },
);

criuSpec(
  "checkpoint --pre-dump, then with --parent-path: the container runs on, and both images restore it",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox);
    await countAbove(container, 5);
    const directory = sandbox.path("images");
    const flags = (name: string, ...more: string[]) => [
      "checkpoint",
      "--image-path",
      `${directory}/${name}`,
      "--work-path",
      `${directory}/${name}-work`,
      ...more,
      container.id,
    ];
    mkdirSync(directory);
    const first = await sandbox.invoke(flags("first", "--pre-dump"));
    if (!hasFeature("mem_dirty_track")) {
      expectRefusal(first, /MemTrack/);
      expect((await container.state()).status).toBe("running");
      return;
    }
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect((await container.state()).status).toBe("running");
    await countAbove(container, count(container));
    const second = await sandbox.invoke(flags("second", "--parent-path", "../first"));
    expect(second).toMatchObject({ code: 0, stderr: "" });
    const saved = count(container);
    const images = {
      images: `${directory}/second`,
      work: `${directory}/second-work`,
      flags: ["--image-path", `${directory}/second`],
      log: () => "",
    };
    expect((await restore(sandbox, container, images)).code).toBe(0);
    await countAbove(container, saved);
  },
);

for (const [what, parent, words] of [
  ["absolute", "/tmp", "--parent-path must be relative"],
  ["missing", "../none", /invalid --parent-path/],
] as const) {
  criuSpec(
    `checkpoint, --parent-path that is ${what}: refused, the container runs on`,
    CLAUSE,
    async (sandbox) => {
      const container = await counting(sandbox);
      const images = imagesIn(sandbox);
      expectRefusal(await checkpoint(sandbox, container, images, "--parent-path", parent), words);
      expect((await container.state()).status).toBe("running");
    },
  );
}

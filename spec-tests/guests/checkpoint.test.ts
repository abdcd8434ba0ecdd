import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { succeed } from "../harness/container.ts";
import { prepareForCriu } from "../harness/guests/criu.ts";
import type { GuestContainer, GuestSandbox } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { COUNT } from "../harness/helpers/checkpoint.ts";

/** Tests that need Debian's kernel, since its criu fails on newer ones with any runtime: see examples/checkpoint. */

const CLAUSE = "practice of runc: runc-checkpoint(8), runc-restore(8)";
const MIB = 1 << 20;

/** Mounts /lib as a folder: Debian's is a symbolic link, which runc and crun don't find again at the restore. */
function withPython(config: Config): void {
  for (const [destination, source] of [
    ["/usr", "/usr"],
    ["/lib", "/usr/lib"],
    ["/lib64", "/usr/lib64"],
  ] as const)
    config.mounts.push({ destination, type: "bind", source, options: ["bind", "ro", "rprivate"] });
}

/** A program with one MiB of unchanging memory, beside one that counts: the pre-dump holds most of their memory. */
const REMEMBER_AND_COUNT = [
  "sh",
  "-c",
  'kept=$(head -c 1048576 /dev/zero | tr "\\0" x); sh -c "$0" & wait; echo "$kept"',
  COUNT,
];

/** Starts a container on /dev/null: criu can't save streams that lead out of the container. */
async function started(
  sandbox: GuestSandbox,
  args: readonly string[],
  mutate: (config: Config) => void = () => undefined,
): Promise<GuestContainer> {
  await prepareForCriu(sandbox.guest);
  const container = sandbox.container((config) => {
    config.process.args = [...args];
    mutate(config);
  });
  const { bundle, id } = container;
  succeed("create", await sandbox.invoke(["create", "--bundle", bundle, id], ">/dev/null 2>&1"));
  succeed("start", await container.command("start"));
  return container;
}

async function countOf(container: GuestContainer): Promise<number> {
  const { stdout } = succeed("exec", await container.exec("sh", "-c", "readlink /tmp/count"));
  return Number(stdout);
}

async function countAbove(container: GuestContainer, number: number): Promise<void> {
  await expect.poll(() => countOf(container), { timeout: 40_000, interval: 200 }).toBeGreaterThan(number);
}

describeGuest("checkpoint and restore", () => {
  guestSpec(
    "checkpoint --pre-dump, then with --parent-path: the container runs on, and both images restore it",
    CLAUSE,
    async (sandbox) => {
      const container = await started(sandbox, REMEMBER_AND_COUNT);
      await countAbove(container, 1);
      const images = (name: string) => `/run/tmp/${container.id}/${name}`;
      const save = (name: string, ...flags: string[]) =>
        container.command(
          "checkpoint",
          "--image-path",
          images(name),
          "--work-path",
          images("work"),
          ...flags,
        );
      await sandbox.guest.output(`mkdir -p ${images("work")}`);
      succeed("checkpoint", await save("first", "--pre-dump"));
      expect(await container.status()).toBe("running");
      const before = await countOf(container);
      succeed("checkpoint", await save("second", "--parent-path", "../first"));
      const sizes = await sandbox.guest.output(
        `cd ${images("")}; for name in first second; do cat $name/pages-*.img | wc -c; done`,
      );
      const [first = 0, second = 0] = sizes.split("\n").map(Number);
      expect(first).toBeGreaterThan(MIB);
      expect(second).toBeGreaterThan(0);
      expect(second).toBeLessThan(MIB);
      const flags = ["--image-path", images("second"), "--bundle", container.bundle, "--detach"];
      succeed("restore", await sandbox.invoke(["restore", ...flags, container.id], ">/dev/null 2>&1"));
      await countAbove(container, before);
    },
  );

  guestSpec(
    "checkpoint and restore --lazy-pages: memory arrives on demand",
    CLAUSE,
    async (sandbox) => {
      const container = await started(sandbox, ["sh", "-c", COUNT]);
      await countAbove(container, 1);
      const before = await countOf(container);
      // The old container lives until all its memory is sent, so the new one needs another id and cgroup.
      const other = sandbox.container((config) => {
        config.process.args = ["sh", "-c", COUNT];
      });
      const base = `/run/tmp/${container.id}`;
      const images = ["--image-path", `${base}/images`];
      const server = ["--page-server", "127.0.0.1:7001", "--lazy-pages", "--status-fd", "3"];
      const saving = ["checkpoint", ...images, "--work-path", `${base}/saved`, ...server, container.id];
      // `criu lazy-pages` puts its socket here.
      const work = ["--work-path", `${base}/restored`];
      const flags = ["--detach", "--lazy-pages", "--bundle", other.bundle, ...images, ...work];
      const script = `
        export PATH=/usr/sbin:/usr/bin
        mkdir -p ${base}/saved ${base}/restored
        ${sandbox.command(saving, `3>${base}/status`)} & dumping=$!
        until [ -s ${base}/status ]; do kill -0 $dumping || exit 1; sleep 0.1; done
        criu lazy-pages --page-server --address 127.0.0.1 --port 7001 -D ${base}/images -W ${base}/restored -o lazy.log & pages=$!
        until [ -S ${base}/restored/lazy-pages.socket ]; do kill -0 $pages || exit 1; sleep 0.1; done
        ${sandbox.command(["restore", ...flags, other.id], ">/dev/null 2>&1")}; restored=$?
        wait $dumping; dumped=$?
        wait $pages; echo restored $restored dumped $dumped pages $?
        tail -n 3 ${base}/*/*.log >&2`;
      const { stdout, stderr } = await sandbox.guest.run(script, 200_000);
      expect(stdout, stderr).toContain("restored 0 dumped 0 pages 0");
      expect((await container.command("state")).code).toBe(1);
      await countAbove(other, before);
    },
    {
      crun: "no --lazy-pages and no --page-server",
      runc: "the cgroup of a container that was restored with lazy pages is left",
    },
  );

  guestSpec(
    "checkpoint with a TCP connection: refused without --tcp-established; with it, the connection survives the restore",
    CLAUSE,
    async (sandbox) => {
      const code = readFileSync(join(import.meta.dirname, "../harness/helpers/tcp-counter.py"), "utf8");
      const container = await started(sandbox, ["python3", "-c", code, "/tmp/got"], withPython);
      const got = async () =>
        (await container.exec("sh", "-c", "cat /tmp/got")).stdout.split("\n").slice(0, -1);
      const more = async (than: number) =>
        void (await expect
          .poll(async () => (await got()).length, { timeout: 60_000, interval: 500 })
          .toBeGreaterThan(than));
      await more(3);
      const base = `/run/tmp/${container.id}`;
      const paths = ["--image-path", `${base}/images`, "--work-path", `${base}/work`];
      await sandbox.guest.output(`mkdir -p ${base}/work`);
      const refused = await container.command("checkpoint", ...paths);
      expect(refused.code).not.toBe(0);
      sandbox.expectRefusal(refused, /./, /--tcp-established/);
      await more((await got()).length);
      succeed("checkpoint", await container.command("checkpoint", "--tcp-established", ...paths));
      const flags = ["--tcp-established", ...paths, "--bundle", container.bundle, "--detach"];
      succeed("restore", await sandbox.invoke(["restore", ...flags, container.id], ">/dev/null 2>&1"));
      const saved = (await got()).length;
      await more(saved + 3);
      const lines = await got();
      expect(lines).toEqual(lines.map((_, index) => `line ${index + 1}`));
    },
    { runc: "the loopback interface of a new network namespace is down when criu connects its sockets" },
  );
});

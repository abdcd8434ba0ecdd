import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { succeed } from "../harness/container.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: report";
const PEERS = { both: "has no such command" } as const;

const SECRETS = ["env-s3cret", "hook-s3cret", "annotation-s3cret", "multi-s3cret", "option-s3cret"];

/** Puts a secret into each place that may have one. */
function withSecrets(config: Config): void {
  config.process.env = ["PATH=/bin", "KEY=env-s3cret", 'MULTI=multi-s3cret\n"line"'];
  config.process.args.push("--key=env-s3cret", "--db-password=option-s3cret", "--token", "option-s3cret");
  config.hooks = {
    createRuntime: [{ path: "/bin/true", env: ["HOOK=hook-s3cret"] }],
    createContainer: [{ path: "/bin/true", args: ["true", "annotation-s3cret"] }],
  };
  config.annotations = { "com.example.key": "annotation-s3cret" };
}

/** Values that would be markup, or the end of a script, if they were not escaped. */
const HOSTILE = '</script></style><script>alert("x")</script><img src=x onerror=alert(1)>';

async function report(sandbox: Sandbox, ...args: string[]): Promise<string> {
  const { stdout, stderr } = succeed("report", await sandbox.invoke(["report", ...args]));
  expect(stderr).toBe("");
  expect(stdout).toMatch(/^<!doctype html>\n<html lang="en">.*<\/html>\n$/s);
  return stdout;
}

/** Ids of the page, and fragments that links lead to. */
function anchors(html: string): { ids: string[]; links: string[] } {
  const all = (pattern: RegExp) => [...html.matchAll(pattern)].map(([, name = ""]) => name);
  return { ids: all(/ id="([^"]*)"/g), links: all(/ href="#([^"]*)"/g) };
}

describe("report", () => {
  spec(
    "report of a created, running, paused and stopped container: names its status, and shows what can be seen of it",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("exec sleep 100");
      await container.created();
      const pages: Record<string, string> = { created: await report(sandbox, container.id) };
      succeed("start", await container.start());
      pages.running = await report(sandbox, container.id);
      succeed("pause", await sandbox.invoke(["pause", container.id]));
      pages.paused = await report(sandbox, container.id);
      succeed("resume", await sandbox.invoke(["resume", container.id]));
      await container.kill("KILL");
      await container.until("stopped");
      pages.stopped = await report(sandbox, container.id);
      for (const [status, page] of Object.entries(pages)) {
        expect([status, page.includes(`<span class="status ${status}">${status}</span>`)]).toEqual([
          status,
          true,
        ]);
        const seesKernel = page.includes("As the kernel shows them to the container");
        expect([status, seesKernel]).toEqual([status, status !== "stopped"]);
        expect([status, page.includes("would fail")]).toEqual([status, false]);
      }
    },
    PEERS,
  );

  spec(
    "report of a container whose create allowed an annotation: has no error about it",
    CLAUSE,
    async (sandbox) => {
      const annotation = "run.oci.hooks.stdout";
      const container = sandbox.shell("exec sleep 100", (config) => {
        config.annotations = { [annotation]: sandbox.path("output") };
      });
      await container.created({ globals: [`--allow-annotation=${annotation}`] });
      const page = await report(sandbox, container.id);
      expect(page.includes("--allow-annotation")).toBe(false);
      expect(page.includes("would fail")).toBe(false);
      expect(await report(sandbox, "--bundle", container.bundle)).toContain("--allow-annotation");
    },
    PEERS,
  );

  spec(
    "report: has the config, the findings, each operation, and links only to what is on the page",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("exec sleep 100", (config) => {
        withSecrets(config);
        config.linux.seccomp = {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{ names: ["ptrace"], action: "SCMP_ACT_ERRNO", errnoRet: 38 }],
        };
      });
      const explained = await sandbox.invoke(["explain", "--json", "--bundle", container.bundle]);
      await container.started();
      const page = await report(sandbox, container.id);
      const { ids, links } = anchors(page);
      expect(new Set(ids).size).toBe(ids.length);
      expect(links.filter((link) => !ids.includes(link))).toEqual([]);
      for (const section of [
        "container",
        "differences",
        "config",
        "operations",
        "process",
        "mounts",
        "cgroup",
        "namespaces",
        "capabilities",
        "seccomp",
        "hooks",
        "host",
        "versions",
      ])
        expect(ids).toContain(section);
      expect(page.includes("fails with ENOSYS")).toBe(true);
      const purposes = new Set(
        [...explained.stdout.matchAll(/"purpose": "([a-z ]+)"/g)].map(([, purpose = ""]) => purpose),
      );
      expect(purposes.size).toBeGreaterThan(20);
      // An operation of the stub that concerns nobody.
      purposes.delete("switch to its own channel");
      expect(
        [...purposes].filter((purpose) => !page.includes(`<span class="purpose">${purpose}</span>`)),
      ).toEqual([]);
    },
    PEERS,
  );

  spec(
    "report: masks values of environments and annotations wherever they appear, and shows them with --show-env",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("exec sleep 100", withSecrets);
      await container.started();
      const bundle = ["--bundle", container.bundle];
      const masked = [
        await report(sandbox, container.id),
        await report(sandbox, ...bundle),
        (await sandbox.invoke(["explain", "--html", ...bundle])).stdout,
      ];
      for (const page of masked) {
        expect(page.includes("KEY=••••••")).toBe(true);
        expect(SECRETS.filter((secret) => page.includes(secret))).toEqual([]);
      }
      const shown = await report(sandbox, "--show-env", container.id);
      expect(SECRETS.filter((secret) => !shown.includes(secret))).toEqual([]);
    },
    PEERS,
  );

  spec(
    "report of a hostile config: escapes arguments, host name, mounts, names of variables and annotations",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("true", (config) => {
        config.hostname = HOSTILE;
        config.process.args = [HOSTILE, "\u001b[31m\u202e"];
        config.process.env = [`${HOSTILE}=1`];
        config.annotations = { [HOSTILE]: "x", "a b#\"'<": "y" };
        config.mounts.push({ destination: `/${HOSTILE}`, type: "tmpfs", source: HOSTILE, options: [] });
        config.linux.cgroupsPath = `/${sandbox.tag}/${HOSTILE.replaceAll("/", "")}`;
        config.hooks = { poststop: [{ path: `/${HOSTILE}`, args: [HOSTILE], env: [`${HOSTILE}=2`] }] };
      });
      const page = await report(sandbox, "--show-env", "--bundle", container.bundle);
      expect(page.match(/<script>/g)).toHaveLength(1);
      expect(page.match(/<\/script>/g)).toHaveLength(1);
      expect(page.match(/<\/style>/g)).toHaveLength(1);
      expect(["<img", "\u001b", "\u202e"].filter((raw) => page.includes(raw))).toEqual([]);
      expect(page.includes("&lt;img src=x onerror=alert(1)&gt;")).toBe(true);
    },
    PEERS,
  );

  spec(
    "report of a container that makes mounts: escapes their names, and shows some of many",
    CLAUSE,
    async (sandbox) => {
      // Each of these binds doubles the number of mounts.
      const many = "for i in 1 2 3 4 5 6 7 8 9; do mkdir -p /m/$i; mount -o rbind /m /m/$i; done";
      const container = sandbox.shell(
        `mkdir '/m/<b>"x' && mount -t tmpfs '<i>' '/m/<b>"x'; ${many}; touch /done; exec sleep 100`,
        (config) => {
          const set = ["CAP_SYS_ADMIN"];
          config.process.capabilities = { bounding: set, effective: set, permitted: set };
          config.root.readonly = false;
          config.mounts.push({ destination: "/m", type: "tmpfs", source: "m", options: [] });
        },
      );
      await container.started();
      await expect.poll(() => existsSync(join(container.rootfs, "done"))).toBe(true);
      const page = await report(sandbox, container.id);
      expect(page.includes("/m/&lt;b&gt;&quot;x")).toBe(true);
      expect(page.includes('<b>"x')).toBe(false);
      expect(page.includes("&lt;i&gt;")).toBe(true);
      expect(/and \d+ mounts more/.test(page)).toBe(true);
    },
    PEERS,
  );

  spec(
    "report of a config with errors: shows them beside its lines, and no operations",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("true");
      container.writeConfig(
        JSON.stringify(
          {
            ...container.config,
            hostname: 7,
            process: { ...container.config.process, env: ["K=env-s3cret"] },
          },
          undefined,
          2,
        ),
      );
      const page = await report(sandbox, "--bundle", container.bundle);
      expect(/class="line item error">.*?hostname.*?must be a string/s.test(page)).toBe(true);
      expect(page.includes("env-s3cret")).toBe(false);
      expect(anchors(page).ids).not.toContain("operations");
      const explained = await sandbox.invoke(["explain", "--html", "--bundle", container.bundle]);
      expect(explained.code).toBe(1);
      expect(explained.stderr).toMatch(
        /^runts: create would fail: .*\/config\.json: 1 error, no warnings\n$/,
      );
      expect(explained.stdout.includes("must be a string")).toBe(true);
    },
    PEERS,
  );

  spec(
    "report -o: writes a whole file that only its owner may read, in place of another, and refuses what is no file",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("true");
      const file = sandbox.path("page.html");
      const other = sandbox.path("other");
      const link = sandbox.path("link");
      writeFileSync(file, "an older page", { mode: 0o644 });
      writeFileSync(other, "kept");
      symlinkSync(other, link);
      const args = ["report", "--bundle", container.bundle, "-o"];
      expect(await sandbox.invoke([...args, file])).toMatchObject({ code: 0, stdout: "", stderr: "" });
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(readFileSync(file, "utf8")).toMatch(/^<!doctype html>.*<\/html>\n$/s);
      for (const [path, problem] of [
        [link, /: is not a regular file\n$/],
        ["/dev/null", /: is not a regular file\n$/],
        [sandbox.directory, /: is not a regular file\n$/],
        [sandbox.path("none/page.html"), /no such file or directory/i],
      ] as const) {
        const { code, stdout, stderr } = await sandbox.invoke([...args, path]);
        expect([path, code, stdout]).toEqual([path, 1, ""]);
        expect(stderr).toMatch(/^runts: --output .*\n$/);
        expect(stderr).toMatch(problem);
      }
      expect(readFileSync(other, "utf8")).toBe("kept");
    },
    PEERS,
  );

  spec(
    "report without a subject, with two, or of what is not there: fails in one line",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("true");
      container.writeConfig("{");
      for (const [args, problem] of [
        [[], "report needs a container or --bundle"],
        [["--bundle", container.bundle, container.id], "report of a container takes no --bundle"],
        [["--config", "x", container.id], "report of a container takes no --config"],
        [[container.id], "container does not exist"],
        [["--bundle", sandbox.path("none")], "no such file or directory"],
        [["--bundle", container.bundle], "not valid JSON"],
      ] as const) {
        const { code, stdout, stderr } = await sandbox.invoke(["report", ...args]);
        expect([args, code, stdout]).toEqual([args, 1, ""]);
        expect(stderr).toContain(problem);
        expect(stderr.split("\n")[0]).toMatch(/^runts: /);
      }
    },
    PEERS,
  );

  spec(
    "explain --html: writes the config and the operations only, and refuses options of other outputs",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("true");
      const bundle = ["--bundle", container.bundle];
      const { stdout } = succeed("explain", await sandbox.invoke(["explain", "--html", ...bundle]));
      const { ids, links } = anchors(stdout);
      expect(links.filter((link) => !ids.includes(link))).toEqual([]);
      expect(ids).toEqual(expect.arrayContaining(["config", "operations"]));
      expect(ids.filter((id) => ["host", "mounts", "container"].includes(id))).toEqual([]);
      for (const option of ["--json", "--brief", "--diff"]) {
        const refused = await sandbox.invoke(["explain", "--html", option, ...bundle]);
        expect([option, refused.code]).toEqual([option, 1]);
        expect(refused.stderr).toContain(`--html can't be used with ${option}`);
      }
      for (const option of ["--output=x", "--show-env"])
        expect((await sandbox.invoke(["explain", option, ...bundle])).stderr).toContain("needs --html");
    },
    PEERS,
  );
});

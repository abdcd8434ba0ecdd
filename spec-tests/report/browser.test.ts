import { pathToFileURL } from "node:url";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { succeed } from "../harness/container.ts";
import { BrowserPage } from "../harness/helpers/chromium.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/** The pages in Debian's Chromium. */

const CLAUSE = "promise: report";
const PEERS = { both: "has no such command" } as const;

/** Markup that would do something if it were not escaped. */
const HOSTILE = "</script><script>document.title='broken'</script><img src=http://192.0.2.1/x>";

function configure(config: Config): void {
  config.process.env = ["PATH=/bin", `${HOSTILE}=1`];
  config.process.args.push(HOSTILE, "w".repeat(2000));
  config.hostname = "needle-in-page";
  config.annotations = { [HOSTILE]: HOSTILE };
  config.hooks = { createRuntime: [{ path: "/bin/true" }] };
  config.linux.seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["ptrace", "bpf"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
  };
}

/** Writes a page of each command that makes one. */
async function writePages(sandbox: Sandbox): Promise<Record<"report" | "explain" | "profile", string>> {
  const container = sandbox.shell("exec sleep 100", configure);
  const explain = sandbox.path("explain.html");
  const profile = sandbox.path("profile.html");
  const report = sandbox.path("report.html");
  const bundle = ["--bundle", container.bundle];
  succeed("explain", await sandbox.invoke(["explain", "--html", "-o", explain, ...bundle]));
  await container.started({ flags: ["--profile", profile, "--profile-format", "html"] });
  succeed("report", await sandbox.invoke(["report", container.id, "-o", report]));
  return { report, explain, profile };
}

/** What would show that a page is not whole and on its own: exceptions, messages on the console, and requests but for its file. */
function troubles({ events }: BrowserPage): string[] {
  return events
    .filter(({ method, params }) => {
      if (method === "Network.requestWillBeSent") return !JSON.stringify(params).includes('"url":"file://');
      return ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"].includes(method);
    })
    .map((event) => JSON.stringify(event));
}

const OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
const BACKGROUND = "getComputedStyle(document.body).backgroundColor";

spec(
  "report, explain --html and --profile-format html in a browser: no error, no request, no overflow, light and dark",
  CLAUSE,
  async (sandbox, context) => {
    skipWithout(context, "chromium");
    const pages = await writePages(sandbox);
    await BrowserPage.with(async (page) => {
      for (const [name, file] of Object.entries(pages)) {
        await page.open(pathToFileURL(file).href);
        expect([name, await page.evaluate("document.title")]).toEqual([
          name,
          expect.stringContaining("runts"),
        ]);
        for (const width of [360, 768, 1200]) {
          await page.resize(width, 900);
          expect([name, width, await page.evaluate(OVERFLOW)]).toEqual([name, width, 0]);
        }
        const backgrounds = [];
        for (const value of ["light", "dark"]) {
          const features = [{ name: "prefers-color-scheme", value }];
          await page.send("Emulation.setEmulatedMedia", { features });
          backgrounds.push(await page.evaluate(BACKGROUND));
        }
        expect(new Set(backgrounds).size, name).toBe(2);
        expect([name, troubles(page)]).toEqual([name, []]);
      }
    });
  },
  PEERS,
);

/** Whether an element takes up any room. */
const isVisible = (selector: string) =>
  `document.querySelector(${JSON.stringify(selector)}).checkVisibility()`;

const searchFor = (text: string) => `{
  const field = document.querySelector("#search");
  field.value = ${JSON.stringify(text)};
  field.dispatchEvent(new Event("input"));
}`;

spec(
  "report in a browser: search finds and unfolds, sections fold, links unfold, and paper shows all",
  CLAUSE,
  async (sandbox, context) => {
    skipWithout(context, "chromium");
    const { report } = await writePages(sandbox);
    await BrowserPage.with(async (page) => {
      await page.resize(1200, 900);
      await page.open(pathToFileURL(report).href);
      const shown = () =>
        page.evaluate('document.querySelectorAll(".item:not([hidden]):not(.dim)").length').then(Number);
      const found = () => page.evaluate('document.querySelector("#found").textContent');

      const all = await shown();
      await page.evaluate(searchFor("NEEDLE-in-page"));
      const few = await shown();
      expect(few).toBeGreaterThan(1);
      expect(few).toBeLessThan(all / 10);
      expect(await found()).toBe(`${few} found`);
      // The host name is in the arguments of a call, which are folded otherwise.
      expect(
        await page.evaluate('document.querySelector("details.operation[open] pre").textContent'),
      ).toContain("needle-in-page");
      expect(await page.evaluate('CSS.highlights.get("found").size')).toBeGreaterThanOrEqual(few);
      await page.evaluate(searchFor("nothing has these words"));
      expect([await shown(), await found()]).toEqual([0, "0 found"]);
      await page.evaluate(searchFor(""));
      expect([await shown(), await found()]).toEqual([all, ""]);
      expect(await page.evaluate('document.querySelectorAll("details.operation[open]").length')).toBe(0);

      const mounts = "#mounts .tree";
      expect(await page.evaluate(isVisible(mounts))).toBe(true);
      await page.evaluate('document.querySelector("#mounts summary").click()');
      expect(await page.evaluate(isVisible(mounts))).toBe(false);
      for (const [isShown, label] of [
        [false, "Unfold all"],
        [true, "Fold all"],
      ]) {
        await page.evaluate('document.querySelector("#fold").click()');
        expect(await page.evaluate(isVisible(mounts))).toBe(isShown);
        expect(await page.evaluate('document.querySelector("#fold").textContent')).toBe(label);
      }

      const operation = "details.operation:has(a.pointer[href='#config/hostname'])";
      await page.evaluate(`document.querySelector(".links a[title$=' /hostname asks for']").click()`);
      await expect.poll(() => page.evaluate(`document.querySelector("${operation}").open`)).toBe(true);
      await page.evaluate(`document.querySelector("${operation} a.pointer").click()`);
      await expect.poll(() => page.evaluate("location.hash")).toBe("#config/hostname");

      const calls = "details.operation:not([open]) pre";
      expect(await page.evaluate(isVisible(calls))).toBe(false);
      await page.send("Emulation.setEmulatedMedia", { media: "print" });
      expect(await page.evaluate(isVisible(calls))).toBe(true);
      expect(await page.evaluate(isVisible("#search"))).toBe(false);
    });
  },
  PEERS,
);

spec(
  "--profile-format html in a browser: a bar of the timeline says what it is, and leads to its operation",
  CLAUSE,
  async (sandbox, context) => {
    skipWithout(context, "chromium");
    const { profile } = await writePages(sandbox);
    await BrowserPage.with(async (page) => {
      await page.resize(1200, 900);
      await page.open(pathToFileURL(profile).href);
      const lanes = await page.evaluate(
        '[...document.querySelectorAll(".timeline svg > g > text")].map((label) => label.textContent)',
      );
      expect(lanes).toEqual(["runtime", "stub", "init", "hook 1"]);
      const bar = "document.querySelector(\".timeline a[aria-label*='/linux/namespaces']\")";
      await page.evaluate(`${bar}.focus()`);
      expect(await page.evaluate('document.querySelector(".timeline-detail").textContent')).toMatch(
        /^stub: clone the process into its namespaces.*, for \/linux\/namespaces\. \d+\.\d+ ms from /,
      );
      await page.evaluate(
        `${bar}.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }))`,
      );
      await expect.poll(() => page.evaluate('document.querySelector(":target")?.open')).toBe(true);
      const width = () => page.evaluate('document.querySelector(".timeline svg").clientWidth').then(Number);
      const before = await width();
      await page.evaluate('document.querySelector(".zoom button[value=in]").click()');
      expect(await width()).toBeGreaterThan(1.9 * before);
    });
  },
  PEERS,
);

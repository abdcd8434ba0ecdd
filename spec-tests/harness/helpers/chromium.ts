import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex, Readable } from "node:stream";
import { asObject, parseObject } from "../json.ts";
import { which } from "../runtime.ts";

export interface CdpEvent {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/**
 * A page in Debian's Chromium, by the DevTools protocol through descriptors 3 and 4 (--remote-debugging-pipe): JSON messages that end in
 * NUL. https://chromedevtools.github.io/devtools-protocol/
 */
export class BrowserPage {
  /** Events since the page was made. */
  readonly events: CdpEvent[] = [];
  readonly #input: Duplex;
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  readonly #loads: (() => void)[] = [];
  #session: string | undefined;
  #number = 0;
  #rest = "";

  private constructor(input: Duplex, output: Readable) {
    this.#input = input;
    output.setEncoding("utf8");
    output.on("data", (text: string) => this.#receive(text));
  }

  /** Starts a browser with one empty page, and ends it after the action. */
  static async with<T>(action: (page: BrowserPage) => Promise<T>): Promise<T> {
    const profile = mkdtempSync(join(tmpdir(), "chromium-"));
    const flags = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--remote-debugging-pipe",
    ];
    const browser = spawn(
      which("chromium") ?? "chromium",
      [...flags, `--user-data-dir=${profile}`, "about:blank"],
      {
        stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
        env: { PATH: process.env.PATH, HOME: profile, LANG: "C.UTF-8" },
      },
    );
    const ended = new Promise<void>((resolve) => {
      browser.on("exit", () => resolve());
    });
    try {
      const [input, output] = [browser.stdio[3], browser.stdio[4]];
      if (!isWritable(input) || output === null || output === undefined || !("setEncoding" in output))
        throw new Error("no pipes to the browser");
      const page = new BrowserPage(input, output);
      await page.#attach();
      return await action(page);
    } finally {
      browser.kill("SIGKILL");
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  async #attach(): Promise<void> {
    const { targetId } = asObject(await this.send("Target.createTarget", { url: "about:blank" }));
    const attached = await this.send("Target.attachToTarget", { targetId, flatten: true });
    this.#session = String(asObject(attached).sessionId);
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await this.send(`${domain}.enable`);
  }

  /** Sends a command, and returns its result. */
  send(method: string, params: object = {}): Promise<unknown> {
    this.#number += 1;
    const id = this.#number;
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    this.#input.write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    return answer;
  }

  #receive(text: string): void {
    const messages = `${this.#rest}${text}`.split("\0");
    this.#rest = messages.pop() ?? "";
    for (const message of messages.map(parseObject)) {
      const waiting = this.#waiting.get(Number(message.id));
      if (waiting === undefined) {
        this.events.push({ method: String(message.method), params: asObject(message.params) });
        if (message.method === "Page.loadEventFired") for (const loaded of this.#loads.splice(0)) loaded();
        continue;
      }
      this.#waiting.delete(Number(message.id));
      if (message.error === undefined) waiting.resolve(message.result);
      else waiting.reject(new Error(JSON.stringify(message.error)));
    }
  }

  /** Opens a URL, and waits until it is loaded. */
  async open(url: string): Promise<void> {
    const loaded = new Promise<void>((resolve) => {
      this.#loads.push(resolve);
    });
    await this.send("Page.navigate", { url });
    await loaded;
  }

  /** Sets the size of the window, in CSS pixels. */
  async resize(width: number, height: number): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: false };
    await this.send("Emulation.setDeviceMetricsOverride", metrics);
  }

  /** Evaluates an expression in the page, whose value is JSON. Throws what it throws. */
  async evaluate(expression: string): Promise<unknown> {
    const params = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = asObject(await this.send("Runtime.evaluate", params));
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return asObject(result).value;
  }
}

function isWritable(stream: unknown): stream is Duplex {
  return typeof stream === "object" && stream !== null && "write" in stream;
}

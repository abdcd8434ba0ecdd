import { readFileSync, readlinkSync } from "../../bindings/linux/files.ts";
import { environment, ownPid } from "../../bindings/linux/own-process.ts";
import { basename } from "../../bindings/linux/paths.ts";
import { randomNumber } from "../../bindings/linux/random.ts";
import type { Recording } from "../profile/recording.ts";

/** A format of the file that `--profile` writes. */
export interface ProfileFormat {
  /** The value of `--profile-format`. */
  readonly name: string;
  /** The program that shows it, for the summary on a terminal. */
  readonly viewer: string;
  /** Returns the content of the file. */
  render(recording: Recording): Promise<string>;
}

const chrome: ProfileFormat = {
  name: "chrome",
  viewer: "https://ui.perfetto.dev",
  async render(recording) {
    const { traceOf } = await import("../profile/trace.ts");
    return JSON.stringify(traceOf(recording));
  },
};

const otlp: ProfileFormat = {
  name: "otlp",
  viewer: "an OpenTelemetry collector: POST /v1/traces",
  async render(recording) {
    const { otlpText } = await import("../profile/otlp.ts");
    const { callerContext } = await import("../profile/trace-context.ts");
    return otlpText(recording, {
      hostName: readFileSync("/proc/sys/kernel/hostname", "utf8").trim(),
      pid: ownPid(),
      executable: basename(readlinkSync("/proc/self/exe")),
      caller: callerContext(environment("TRACEPARENT"), environment("TRACESTATE")),
      random: randomNumber,
    });
  },
};

const html: ProfileFormat = {
  name: "html",
  viewer: "a browser",
  async render(recording) {
    const { profilePage } = await import("../report/profile-page.ts");
    return profilePage(recording);
  },
};

/** All formats, the default first. The description of the option names them: `profileOptions` in src/cli/options/shared-options.ts. */
export const profileFormats: readonly [ProfileFormat, ...ProfileFormat[]] = [chrome, otlp, html];

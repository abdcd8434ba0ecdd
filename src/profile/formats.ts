import type { Recording } from "./recording.ts";

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
    const { traceOf } = await import("./trace.ts");
    return JSON.stringify(traceOf(recording));
  },
};

/** All formats, the default first. The description of the option names them: `profileOptions` in src/cli/options/shared-options.ts. */
export const profileFormats: readonly [ProfileFormat, ...ProfileFormat[]] = [chrome];

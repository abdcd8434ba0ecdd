import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { RuntsError } from "../errors.ts";
import { profileOptions } from "./options/shared-options.ts";
import { profileFormats } from "./profile-formats.ts";
import { withProfile } from "./with-profile.ts";

const directory = mkdtempSync(join(tmpdir(), "runts-profile-"));
const profile = join(directory, "profile");
const subject = { command: "create", container: "box" };
const never = () => expect.unreachable("the command ran");

afterAll(() => rmSync(directory, { recursive: true }));

describe("withProfile", () => {
  it("has a description of the option that names each format, and the first one as the default", () => {
    const { description } = profileOptions["profile-format"];
    for (const { name } of profileFormats) expect(description).toMatch(new RegExp(`\\b${name}\\b`));
    expect(description).toContain(`[default: ${profileFormats[0].name}]`);
  });

  it("refuses an unknown format, and a format without a file, before the command runs", async () => {
    await expect(withProfile(subject, { profile, "profile-format": "toString" }, never)).rejects.toThrow(
      `--profile-format toString: is none of ${profileFormats.map(({ name }) => name).join(", ")}`,
    );
    await expect(
      withProfile(subject, { profile: undefined, "profile-format": "chrome" }, never),
    ).rejects.toThrow("--profile-format needs --profile");
  });

  it("writes the default format, also if the command fails", async () => {
    const failure = new RuntsError("no");
    const options = { profile, "profile-format": undefined };
    await expect(withProfile(subject, options, () => Promise.reject(failure))).rejects.toBe(failure);
    expect(JSON.parse(readFileSync(profile, "utf8")).otherData).toEqual({ command: "create" });
  });
});

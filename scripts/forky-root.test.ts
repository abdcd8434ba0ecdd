import { describe, expect, test } from "vitest";
import { fits, isOld, mirrorSettings } from "./forky-root.mjs";

const made = { packages: ["crun", "podman"], date: "2026-03-01T12:00:00.000Z" };

describe("fits", () => {
  test("is true for the same packages", () => {
    expect(fits(made, ["crun", "podman"])).toBe(true);
  });

  test.each([[["crun"]], [["buildah", "crun", "podman"]]])("is false for %j", (wanted) => {
    expect(fits(made, wanted)).toBe(false);
  });

  test("is false if there is no root", () => {
    expect(fits(undefined, [])).toBe(false);
  });
});

describe("isOld", () => {
  test("is false for a week, and true after it", () => {
    expect(isOld(made, Date.parse("2026-03-08T11:59:00Z"))).toBe(false);
    expect(isOld(made, Date.parse("2026-03-08T12:01:00Z"))).toBe(true);
  });
});

describe("mirrorSettings", () => {
  test("has proxies, retries and checks of dates, and nothing else", () => {
    const taken = [
      'Acquire::http::Proxy "http://proxy.example.org:3128";',
      'Acquire::https::Verify-Peer "false";',
      'Acquire::Check-Valid-Until "false";',
      'Acquire::Retries "3";',
    ];
    const left = [
      'Acquire::Languages:: "none";',
      'APT::Architecture "amd64";',
      'Dir::Cache "var/cache/apt";',
    ];
    expect(mirrorSettings([...left, ...taken, ""].join("\n"))).toBe(`${taken.join("\n")}\n`);
  });
});

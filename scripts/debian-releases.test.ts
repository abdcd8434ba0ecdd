import { describe, expect, test } from "vitest";
import { fits, isOld, mirrorSettings, mirrorsOf } from "./debian-releases.mjs";

describe("mirrorsOf", () => {
  test("lists each mirror of a whole release once, in apt's order", () => {
    const uris = [
      "'file:/srv/own/./InRelease' _srv_own_._InRelease 0 ",
      "'http://deb.debian.org/debian/dists/trixie/InRelease' deb.debian.org_debian_dists_trixie_InRelease 0 ",
      "'http://deb.debian.org/debian/dists/trixie-updates/InRelease' deb.debian.org_debian_dists_trixie-updates_InRelease 0 ",
      "'http://deb.debian.org/debian-security/dists/trixie-security/InRelease' deb.debian.org_debian-security_dists_trixie-security_InRelease 0 ",
      "'https://mirror.example.org/debian/dists/stable/InRelease' mirror.example.org_debian_dists_stable_InRelease 0 ",
      "'http://deb.debian.org/debian/dists/sid/InRelease' deb.debian.org_debian_dists_sid_InRelease 0 ",
      "'http://deb.debian.org/debian/dists/trixie/main/binary-amd64/Packages.xz' deb.debian.org_debian_dists_trixie_main_binary-amd64_Packages 0 ",
    ];
    expect(mirrorsOf(uris.join("\n"))).toEqual([
      "http://deb.debian.org/debian",
      "https://mirror.example.org/debian",
    ]);
  });

  test("is empty if apt has no sources", () => {
    expect(mirrorsOf("")).toEqual([]);
  });
});

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

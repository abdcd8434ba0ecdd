import { describe, expect, test } from "vitest";
import { mirrorsOf } from "./forky.mjs";

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

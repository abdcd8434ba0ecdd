import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { requireBun } from "../bun.mjs";
import { debianDepends, rpmRequires } from "./dependencies.mjs";
import { billOfMaterials, licensesOf, materialsOf, packageOf } from "./materials.mjs";
import { nativeParts } from "./parts.mjs";
import { fill, scriptParts } from "./templates.mjs";
import { exampleFor, readText } from "./tree.mjs";
import { upstreamVersion } from "./versions.mjs";

const root = join(import.meta.dirname, "../..");
const koffi = readFileSync(nativeParts(process.arch).koffi);

describe("the version in packages", () => {
  it.each([
    ["1.0.0", "1.0.0"],
    ["1.0.0-rc.1", "1.0.0~rc.1"],
  ])("%s: it is %s", (version, expected) => {
    expect(upstreamVersion(version)).toBe(expected);
  });

  it.skipIf(spawnSync("dpkg", ["--version"]).status !== 0)(
    "1.0.0-rc.1: it is older than 1.0.0 and newer than 0.1.0",
    () => {
      const isNewer = (left: string, right: string) =>
        spawnSync("dpkg", ["--compare-versions", upstreamVersion(left), "gt", upstreamVersion(right)])
          .status === 0;
      expect([
        isNewer("1.0.0", "1.0.0-rc.1"),
        isNewer("1.0.0-rc.1", "0.1.0"),
        isNewer("0.1.0", "1.0.0"),
      ]).toEqual([true, true, false]);
    },
  );

  it.each(["1.0", "1.0.0+build", "1.0.0-a-b"])("%s: it is refused", (version) => {
    expect(() => upstreamVersion(version)).toThrow(version);
  });
});

describe("dependencies of koffi.node", () => {
  it("with koffi-cxx.so: the C library of its newest symbol, libgcc and libseccomp", () => {
    expect(debianDepends([koffi], ["libstdc++.so.6"])).toBe("libc6 (>= 2.25), libgcc-s1, libseccomp2");
    const required = rpmRequires([koffi], ["libstdc++.so.6"]);
    expect(required).toEqual(
      expect.arrayContaining([
        "libc.so.6(GLIBC_2.25)(64bit)",
        "libgcc_s.so.1()(64bit)",
        "libseccomp.so.2()(64bit)",
      ]),
    );
    expect(required.filter((capability) => capability.includes("stdc++"))).toEqual([]);
  });

  it("without koffi-cxx.so: they are incomplete, which is an error in Debian's and listed in the RPM's", () => {
    expect(() => debianDepends([koffi], [])).toThrow("libstdc++.so.6");
    expect(rpmRequires([koffi], [])).toContain("libstdc++.so.6()(64bit)");
  });
});

describe("the bill of materials", () => {
  const bun = requireBun();
  const modules = [join(root, "src/main.ts"), join(root, "node_modules/yargs-parser/build/lib/index.js")];
  const materials = materialsOf({ modules, bun });

  it.each([
    ["/r/src/main.ts", undefined],
    ["/r/node_modules/yargs/index.mjs", "/r/node_modules/yargs"],
    ["/r/node_modules/@a/b/lib/x.js", "/r/node_modules/@a/b"],
    [
      "/r/node_modules/wrap-ansi/node_modules/string-width/i.js",
      "/r/node_modules/wrap-ansi/node_modules/string-width",
    ],
  ])("%s: it belongs to %s", (module, expected) => {
    expect(packageOf(module)).toBe(expected);
  });

  it("lists the bundled packages, Bun with its libraries, and the checksums of the files", () => {
    const { components } = billOfMaterials({
      materials,
      version: "1.0.0",
      arch: "x64",
      epoch: 0,
      files: { "koffi.node": Buffer.from("") },
    });
    expect(components.map(({ name }) => name)).toEqual([
      "koffi",
      "yargs-parser",
      "bun",
      "usr/lib/runts/koffi.node",
    ]);
    const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
    for (const name of ["koffi", "yargs-parser", "bun"])
      expect(components.find((component) => component.name === name)?.version).toBe(
        packages[`node_modules/${name}`].version,
      );
    const libraries = components.find(({ name }) => name === "bun")?.components ?? [];
    expect(libraries.find(({ name }) => name === "WebKit")?.version).toMatch(/^[0-9a-f]{40}$/);
    expect(components.at(-1)?.hashes).toEqual([
      { alg: "SHA-256", content: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    ]);
  });

  it("has each licence once, and alternatives in parentheses", () => {
    const licenses = licensesOf(materials);
    expect(licenses).toEqual([...new Set(licenses)]);
    expect(licenses).toEqual(expect.arrayContaining(["Apache-2.0", "ISC", "(BSD-3-Clause OR GPL-2.0-only)"]));
  });
});

/** The packages have these files as they are, for they name the paths of the packages. */
test.each([
  "docker/daemon.json",
  "kubernetes/containerd-1.7.toml",
  "kubernetes/containerd-2.toml",
  "kubernetes/crio-runts.conf",
  "podman/containers.conf",
  "podman/runts.conf",
])("examples/%s names /usr/bin/runts, and another prefix in the archive", (path) => {
  expect(exampleFor("/usr", path)).toContain('"/usr/bin/runts"');
  expect(exampleFor("/usr/local", path)).toContain('"/usr/local/bin/runts"');
  expect(exampleFor("/usr/local", path)).not.toMatch(/\/usr\/(?:bin|lib)/);
});

const withParts = (text: string) => fill(text, scriptParts("systemctl start"));
/** The scripts of the spec file: from a line such as %post to the next one that begins a section. */
const sections = readText("packaging/rpm/runts.spec").split(/^(?=%(?:[a-z]+)(?: .*)?$)/m);
const scriptlets = sections.filter((text) => /^%(?:post|preun|postun|transfiletriggerin)\b/.test(text));

test.each([
  ...["postinst", "prerm", "postrm"].map((name) => [
    `deb/${name}`,
    withParts(readText(`packaging/deb/${name}`)),
  ]),
  ...scriptlets.map((text) => {
    const [title = "", ...lines] = text.split("\n");
    return [`rpm/runts.spec, ${title.split(" ")[0]}`, withParts(lines.join("\n"))];
  }),
])("packaging/%s, with its parts: it is a script of sh", (_, input = "") => {
  expect(spawnSync("sh", ["-n"], { input, encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
});

test("packaging/rpm/runts.spec: four scripts are checked above", () => {
  expect(scriptlets).toHaveLength(4);
});

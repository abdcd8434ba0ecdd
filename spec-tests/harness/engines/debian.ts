import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Kept between runs, since making it takes minutes: what Debian's mirror gave the first time. */
const CACHE = join(import.meta.dirname, "../../../node_modules/.cache/runts-debian");

/** Folder of the packages in the image. */
const REPOSITORY = "/var/local/packages";

/**
 * An archive of Debian's minimal system, as docker's image debian:trixie-slim is one, with the named packages and all that they
 * need in a repository inside: `apt-get update && apt-get install NAME` works there without a network.
 */
export function debianArchive(packages: readonly string[]): string {
  const archive = join(CACHE, `trixie-${packages.join("-")}.tar`);
  if (existsSync(archive)) return archive;
  mkdirSync(CACHE, { recursive: true });
  const directory = mkdtempSync(join(CACHE, "making-"));
  try {
    const system = join(directory, "system");
    run("debootstrap", ["--variant=minbase", "trixie", system, mirror()]);
    const repository = join(system, REPOSITORY);
    mkdirSync(join(repository, "partial"), { recursive: true });
    const options = aptOptions(directory, system, repository);
    run("apt-get", [...options, "update"]);
    for (const name of packages)
      run("apt-get", [...options, "--no-install-recommends", "--download-only", "install", name]);
    rmSync(join(repository, "partial"), { recursive: true });
    run(join(import.meta.dirname, "../index-packages.sh"), [repository]);
    rmSync(join(system, "etc/apt/sources.list"), { force: true });
    writeFileSync(
      join(system, "etc/apt/sources.list.d/local.sources"),
      `Types: deb\nURIs: file:${REPOSITORY}\nSuites: ./\nTrusted: yes\n`,
    );
    run("tar", ["-C", system, "--exclude=./dev/*", "-cf", join(directory, "archive.tar"), "."]);
    renameSync(join(directory, "archive.tar"), archive);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return archive;
}

/** The image's own release and packages, whichever those of the host are. */
function aptOptions(directory: string, system: string, archives: string): string[] {
  for (const folder of ["lists/partial", "cache"]) mkdirSync(join(directory, folder), { recursive: true });
  const sources = join(directory, "sources.list");
  const keyring = join(system, "usr/share/keyrings/debian-archive-keyring.pgp");
  writeFileSync(sources, `deb [signed-by=${keyring}] ${mirror()} trixie main\n`);
  const options = [
    `Dir::Etc::SourceList=${sources}`,
    "Dir::Etc::SourceParts=-",
    `Dir::State::Lists=${join(directory, "lists")}`,
    `Dir::State::status=${system}/var/lib/dpkg/status`,
    `Dir::Cache=${join(directory, "cache")}`,
    `Dir::Cache::archives=${archives}`,
    "APT::Sandbox::User=root",
    "Debug::NoLocking=1",
  ];
  return ["-qq", "-y", ...options.flatMap((option) => ["-o", option])];
}

/** The mirror that the host's own packages come from. */
function mirror(): string {
  const uris = execFileSync("apt-get", ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], {
    encoding: "utf8",
  });
  const web = uris.split("\n").find((uri) => /^https?:.*\/debian\/?$/.test(uri));
  return web ?? "http://deb.debian.org/debian";
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 900_000,
    maxBuffer: 1 << 26,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
  });
}

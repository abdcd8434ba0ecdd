/** What the packages declare as needed, computed from the executables. */
import { neededLibraries, neededVersions } from "../build/elf.mjs";

/** Debian's packages of the libraries. Those of the C library count together, since they are one package. */
const DEBIAN_PACKAGES = {
  "libc.so.6": "libc6",
  "libm.so.6": "libc6",
  "libpthread.so.0": "libc6",
  "libdl.so.2": "libc6",
  "ld-linux-x86-64.so.2": "libc6",
  "ld-linux-aarch64.so.1": "libc6",
  "libgcc_s.so.1": "libgcc-s1",
};

/** Loaded at run time, by name, as soon as a container has a filter; so no executable names it. */
const SECCOMP = "libseccomp.so.2";

function compareVersions(left, right) {
  const [a, b] = [left, right].map((version) => version.split(".").map(Number));
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The newest version of a symbol of the C library that any of the files needs, such as 2.25. */
function leastGlibc(files) {
  const versions = files.flatMap((file) =>
    neededVersions(file).flatMap(({ version }) => /^GLIBC_([\d.]+)$/.exec(version)?.[1] ?? []),
  );
  return versions.sort(compareVersions).at(-1);
}

/** The libraries that the files need, without those that the package brings itself. */
function foreignLibraries(files, own) {
  return [...new Set(files.flatMap(neededLibraries))].filter((library) => !own.includes(library)).sort();
}

/** The value of Depends in a control file of Debian. `own` are the libraries in the package. */
export function debianDepends(files, own) {
  const packages = foreignLibraries(files, own).map((library) => {
    const name = DEBIAN_PACKAGES[library];
    if (name === undefined) throw new Error(`which package of Debian has ${library}?`);
    return name === "libc6" ? `libc6 (>= ${leastGlibc(files)})` : name;
  });
  return [...new Set([...packages, "libseccomp2"])].sort().join(", ");
}

/** The capabilities that an RPM requires, in rpm's notation: a library, or a version of its symbols. All are of 64 bits. */
export function rpmRequires(files, own) {
  const libraries = foreignLibraries(files, own);
  const versions = files
    .flatMap(neededVersions)
    .filter(({ library, version }) => libraries.includes(library) && /^(GLIBC|GCC)_[\d.]+$/.test(version))
    .map(({ library, version }) => `${library}(${version})(64bit)`);
  return [
    ...new Set([...[...libraries, SECCOMP].map((library) => `${library}()(64bit)`), ...versions]),
  ].sort();
}

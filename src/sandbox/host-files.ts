import type { ConfigInput } from "../spec/config-input.ts";
import type { Host } from "./host.ts";

type Mount = NonNullable<ConfigInput["mounts"]>[number];

/** Options of a host's file system that a sandbox sees: its submounts too, without devices and set-user-ID programs. */
export function bindOptions(right: "ro" | "rw"): string[] {
  return ["rbind", ...(right === "ro" ? ["rro"] : []), "rnosuid", "rnodev"];
}

/** The directories of the host's programs and libraries. On most hosts all but the first are symbolic links into it. */
export const PROGRAMS = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/**
 * Files in /etc that programs and the C library need. There is nothing secret in them: no passwords, keys or credentials, and so no
 * /etc/ssl as a whole, which has private keys.
 */
const SETTINGS = [
  "alternatives",
  "crypto-policies",
  "fonts",
  "group",
  "hosts",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "localtime",
  "mime.types",
  "nsswitch.conf",
  "os-release",
  "passwd",
  "pki/ca-trust/extracted",
  "pki/tls/cert.pem",
  "pki/tls/certs",
  "protocols",
  "services",
  "ssl/cert.pem",
  "ssl/certs",
  "ssl/openssl.cnf",
  "timezone",
];

/** Names in /etc of languages whose programs in /usr have links to settings there, such as Debian's java-17-openjdk and python3.13. */
const LANGUAGES = /^(java(-[\w.-]+)?|perl|python\d[\w.]*)$/;

/** The host's programs, libraries and settings, read-only. Files that the host doesn't have are left out. */
export function hostFiles(host: Host, hasNetwork: boolean): Mount[] {
  const settings = [...SETTINGS, ...(hasNetwork ? ["resolv.conf"] : [])];
  const names = [
    ...settings,
    ...host
      .names("/etc")
      .filter((name) => LANGUAGES.test(name))
      .sort(),
  ];
  return [...PROGRAMS, ...names.map((name) => `/etc/${name}`)].flatMap((path) => shown(path, host));
}

/**
 * A symbolic link into what the sandbox sees anyway stays a link, as programs expect it of /etc/localtime. A bind mount follows any other
 * link, as that of /etc/resolv.conf to systemd's in /run.
 */
function shown(path: string, host: Host): Mount[] {
  if (host.kindOf(path) === undefined) return [];
  const isLink = host.linkTarget(path) !== undefined;
  if (isLink && host.realPath(path).startsWith("/usr/"))
    return [{ destination: path, type: "bind", source: path, options: ["bind", "copy-symlink"] }];
  return [{ destination: path, type: "bind", source: path, options: bindOptions("ro") }];
}

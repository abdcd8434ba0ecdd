import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type ImageConfig, writeOciArchive } from "../engines/oci-archive.ts";
import { buildBaseRootfs } from "../rootfs.ts";
import { which } from "../runtime.ts";
import { HOME, PROGRAMS } from "./places.ts";

const ARCHIVES = join(HOME, "images");

const PAUSE = `
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) { _exit(0); }
static void reap(int signal) { while (waitpid(-1, 0, WNOHANG) > 0); }

int main(void) {
  signal(SIGTERM, end);
  signal(SIGINT, end);
  signal(SIGCHLD, reap);
  for (;;) pause();
}`;

const SHOW_USER = `
#include <stdio.h>
#include <unistd.h>

int main(void) { printf("Effective uid: %d\\n", geteuid()); }`;

const Env = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
const WEB: ImageConfig = { Cmd: ["busybox", "httpd", "-f", "-p", "80", "-h", "/www"], Env };

/** The image of most pods. */
export const BUSYBOX = "docker.io/library/busybox:1.29";
/** Serves a page that says "It works!". */
export const WEB_SERVER = "docker.io/library/httpd:2.4.38-alpine";

/**
 * Makes the archives of the images that the pods use. Kubernetes' own tests name them. They are made of busybox and of the built programs, since
 * there is no registry.
 */
export function makeImages(): void {
  const folder = ARCHIVES;
  mkdirSync(folder, { recursive: true });
  let archives = 0;
  const image = (images: Readonly<Record<string, ImageConfig>>, fill: (rootfs: string) => void): void => {
    const rootfs = join(folder, "rootfs");
    fill(rootfs);
    const archive = join(folder, `${archives}.tar`);
    writeOciArchive(archive, rootfs, images);
    rmSync(rootfs, { recursive: true });
    archives += 1;
  };
  image({ "k8s.gcr.io/pause:3.2": { Entrypoint: ["/pause"], Env } }, (rootfs) => {
    mkdirSync(rootfs);
    compile(PAUSE, join(rootfs, "pause"));
  });
  const shell = { Cmd: ["sh"], Env };
  const plain = {
    [BUSYBOX]: shell,
    "docker.io/library/busybox:latest": shell,
    "gcr.io/kubernetes-e2e-test-images/ipc-utils:1.0": shell,
    "gcr.io/kubernetes-e2e-test-images/nonroot:1.0": { Cmd: ["id"], User: "1234", Env },
  };
  image(plain, makeBusybox);
  image(
    { "k8s.gcr.io/e2e-test-images/agnhost:2.21": { Entrypoint: ["/agnhost"], Cmd: ["pause"], Env } },
    (rootfs) => {
      makeBusybox(rootfs);
      cpSync(join(PROGRAMS, "agnhost"), join(rootfs, "agnhost"));
      symlinkSync("agnhost", join(rootfs, "agnhost-2"));
      mkdirSync(join(rootfs, "uploads"));
      addProgram(rootfs, "curl");
    },
  );
  const others = ["httpd:2.4.39-alpine", "nginx:1.14-alpine", "nginx:1.15-alpine"];
  const servers = [WEB_SERVER, ...others.map((name) => `docker.io/library/${name}`)];
  image(Object.fromEntries(servers.map((name) => [name, WEB])), (rootfs) => {
    makeBusybox(rootfs);
    mkdirSync(join(rootfs, "www"));
    writeFileSync(join(rootfs, "www/index.html"), "<html><body><h1>It works!</h1></body></html>\n");
  });
  const escalating = { Cmd: ["/show-user"], User: "1000", Env };
  image({ "gcr.io/kubernetes-e2e-test-images/nonewprivs:1.0": escalating }, (rootfs) => {
    makeBusybox(rootfs);
    compile(SHOW_USER, join(rootfs, "show-user"));
    chmodSync(join(rootfs, "show-user"), 0o4755);
  });
}

/** Paths of the archives. */
export function imageArchives(): string[] {
  return readdirSync(ARCHIVES).map((name) => join(ARCHIVES, name));
}

/** A system of busybox alone, with the folders and links that shell scripts expect. */
function makeBusybox(rootfs: string): void {
  buildBaseRootfs(rootfs);
  symlinkSync("sh", join(rootfs, "bin/bash"));
  for (const name of ["run", "sbin", "usr/bin", "usr/sbin"])
    mkdirSync(join(rootfs, name), { recursive: true });
}

function compile(source: string, program: string): void {
  execFileSync("gcc", ["-static", "-O1", "-x", "c", "-o", program, "-"], { input: source });
}

/** A program of the host, with the libraries that it is linked with. */
function addProgram(rootfs: string, name: string): void {
  const program = which(name);
  if (program === undefined) throw new Error(`the images need ${name}: apt-get install ${name}`);
  const libraries = execFileSync("ldd", [program], { encoding: "utf8" }).match(/\/\S+/g) ?? [];
  for (const path of [program, ...libraries]) {
    const target = join(rootfs, path);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(path, target, { dereference: true });
  }
}

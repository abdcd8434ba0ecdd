import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { explain } from "../harness/explain/explain.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config.md, Linux mount options: tmpcopyup MAY";
const PRACTICE = "practice of runc and crun";

/** A container whose /cover is a tmpfs with a copy of the rootfs's folder `cover`. */
function covered(sandbox: Sandbox, script: string, ...options: string[]): Container & { cover: string } {
  const container = sandbox.shell(script, (config) => {
    config.mounts.push({
      destination: "/cover",
      type: "tmpfs",
      source: "tmpfs",
      options: ["tmpcopyup", ...options],
    });
  });
  const cover = `${container.rootfs}/cover`;
  mkdirSync(cover);
  return Object.assign(container, { cover });
}

/** A path whose last part is Latin-1, so that it is not UTF-8. */
function latin1(folder: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, "latin1")]);
}

/** Limits the memory that the runtime can allocate. */
const BOUNDED = ["prlimit", `--data=${512 * 1024 * 1024}`];

spec("tmpcopyup, 3,000 files in 300 folders: all of them are there", CLAUSE, async (sandbox) => {
  const container = covered(
    sandbox,
    "find /cover -type f | wc -l; find /cover -type d | wc -l; cat /cover/299/9",
  );
  for (let folder = 0; folder < 300; folder++) {
    mkdirSync(`${container.cover}/${folder}`);
    for (let file = 0; file < 10; file++) writeFileSync(`${container.cover}/${folder}/${file}`, "text\n");
  }
  expect(await container.output()).toBe("3000\n301\ntext\n");
});

spec("tmpcopyup, 3,000 files in one folder: all of them are there", CLAUSE, async (sandbox) => {
  const container = covered(sandbox, "ls /cover | wc -l; cat /cover/2999");
  for (let file = 0; file < 3000; file++) writeFileSync(`${container.cover}/${file}`, "text\n");
  expect(await container.output()).toBe("3000\ntext\n");
});

spec("tmpcopyup, names and link targets that are not UTF-8: copied byte by byte", CLAUSE, async (sandbox) => {
  const container = covered(
    sandbox,
    'cd /cover; cat "$(printf "j\\366rg/\\377")"; readlink "$(printf "l\\303")" | od -A n -t x1',
  );
  mkdirSync(latin1(container.cover, "j\xf6rg"));
  writeFileSync(latin1(container.cover, "j\xf6rg/\xff"), "text\n");
  symlinkSync(Buffer.from("\x80/\xfc", "latin1"), latin1(container.cover, "l\xc3"));
  expect(await container.output()).toBe("text\n 80 2f fc 0a\n");
});

spec(
  "tmpcopyup, nested folders with a path longer than PATH_MAX: all of them are there",
  CLAUSE,
  async (sandbox) => {
    // The shell goes down step by step; find would need the whole path.
    const container = covered(
      sandbox,
      "cd /cover; n=0; while cd -P x* 2>/dev/null; do n=$((n + 1)); done; echo $n",
    );
    const name = "x".repeat(200);
    const script = `cd "$1"; for i in $(seq 30); do mkdir ${name} && cd -P ${name} || exit 1; done`;
    execFileSync("busybox", ["sh", "-c", script, "sh", container.cover]);
    sandbox.atEnd(() => void execFileSync("rm", ["-rf", container.cover]));
    expect(await container.output()).toBe("30\n");
  },
  { runc: "copies by path, and neither fifos nor sockets" },
);

spec(
  "tmpcopyup, fifo, socket, device and set-user-id program: type, mode and owner as they were",
  CLAUSE,
  async (sandbox) => {
    const script = "cd /cover; stat -c '%n %F %a %u:%g %t:%T' fifo null socket program";
    const container = covered(sandbox, script);
    const { cover } = container;
    execFileSync("mkfifo", [`${cover}/fifo`]);
    execFileSync("mknod", [`${cover}/null`, "c", "1", "3"]);
    const listen = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])";
    execFileSync("python3", ["-c", listen, `${cover}/socket`]);
    writeFileSync(`${cover}/program`, "text");
    for (const name of readdirSync(cover)) {
      chownSync(`${cover}/${name}`, 3, 4);
      chmodSync(`${cover}/${name}`, name === "program" ? 0o6755 : 0o620);
    }
    expect(await container.output()).toBe(
      "fifo fifo 620 3:4 0:0\nnull character special file 620 3:4 1:3\nsocket socket 620 3:4 0:0\nprogram regular file 6755 3:4 0:0\n",
    );
  },
  { runc: "copies by path, and neither fifos nor sockets" },
);

spec("tmpcopyup, a file with two hard links: two files with its content", PRACTICE, async (sandbox) => {
  const container = covered(sandbox, "cd /cover; stat -c '%h %s' one two");
  writeFileSync(`${container.cover}/one`, "text");
  linkSync(`${container.cover}/one`, `${container.cover}/two`);
  expect(await container.output()).toBe("1 4\n1 4\n");
});

spec(
  "tmpcopyup, a file with holes: the holes take no memory",
  CLAUSE,
  async (sandbox) => {
    const script =
      "cd /cover; stat -c %s log; df -k /cover | awk 'NR == 2 { print ($3 < 64) }'; tail -c 4 log";
    const container = covered(sandbox, script, "size=1m");
    writeFileSync(`${container.cover}/log`, "");
    truncateSync(`${container.cover}/log`, 1024 ** 3);
    writeFileSync(`${container.cover}/log`, "end\n", { flag: "a" });
    expect(await container.output()).toBe(`${1024 ** 3 + 4}\n1\nend\n`);
  },
  { both: "holes are read as zeros, and fill the tmpfs" },
);

spec(
  "tmpcopyup, a file of 8 EiB without data: in bounded memory",
  CLAUSE,
  async (sandbox) => {
    const image = sandbox.path("image");
    mkdirSync(image);
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", image]);
    sandbox.atEnd(() => void execFileSync("umount", [image]));
    const container = covered(sandbox, "stat -c '%s %b' /cover/file", "size=4m");
    container.config.mounts.splice(-1, 0, {
      destination: "/cover",
      type: "bind",
      source: image,
      options: ["bind"],
    });
    container.writeConfig();
    execFileSync("truncate", ["-s", String(2n ** 63n - 1n), `${image}/file`]);
    sandbox.settle();
    sandbox.wrapper = BOUNDED;
    expect(await container.output()).toBe(`${2n ** 63n - 1n} 0\n`);
  },
  { both: "holes are read as zeros, and fill the tmpfs" },
);

const FULL: readonly (readonly [what: string, option: string, fill: (cover: string) => void])[] = [
  ["a file that is larger than the tmpfs", "size=1m", (cover) => fillFile(`${cover}/file`, 3 * 1024 ** 2)],
  [
    "a file with holes whose data is more than the tmpfs holds",
    "size=1m",
    (cover) => {
      fillFile(`${cover}/file`, 3 * 1024 ** 2);
      truncateSync(`${cover}/file`, 1024 ** 3);
    },
  ],
  [
    "more files than the tmpfs takes",
    "nr_inodes=100",
    (cover) => {
      for (let file = 0; file < 200; file++) writeFileSync(`${cover}/${file}`, "");
    },
  ],
];

function fillFile(path: string, length: number): void {
  writeFileSync(path, Buffer.alloc(length, 1));
}

for (const [what, option, fill] of FULL) {
  spec(`create, tmpcopyup, ${what}: error that names the mount, nothing left`, CLAUSE, async (sandbox) => {
    const container = covered(sandbox, "true", option);
    fill(container.cover);
    sandbox.wrapper = BOUNDED;
    const result = await container.create();
    const words = /\/mounts\/\d+: copy \S+ into the tmpfs: \w+: no space left on device/;
    expectRefusal(result, IS_RUNTS ? words : undefined);
    expect(await sandbox.traces()).toEqual([]);
  });
}

if (IS_RUNTS) {
  spec(
    "explain, tmpcopyup: shows the mount, and says that the copying is not shown",
    "explain",
    async (sandbox) => {
      const container = covered(sandbox, "true");
      writeFileSync(`${container.cover}/file`, "");
      const { code, stdout, stderr } = await explain(sandbox, container);
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toContain("what tmpcopyup copies depends on the directory, and is not shown");
      expect(stdout).toMatch(/getdents64\(<fd of \.( #\d+)?>/);
    },
    { both: "has no such command" },
  );
}

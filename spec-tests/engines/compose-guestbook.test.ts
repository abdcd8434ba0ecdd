import { cpSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Project, projectIn } from "../harness/engines/compose.ts";
import { debianArchive } from "../harness/engines/debian.ts";
import { type Docker, dockerTests } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";

/** The example for users: nginx, a program in Python and PostgreSQL, in images built from Debian's packages. */
const EXAMPLE = join(import.meta.dirname, "../../examples/docker/guestbook");

const check = dockerTests({}, "compose");

const minutes = 60_000;

function guestbook(docker: Docker): Project {
  const directory = join(docker.directory, "guestbook");
  cpSync(EXAMPLE, directory, { recursive: true });
  return projectIn(docker, directory, { GUESTBOOK_PORT: "8099" });
}

/** Runs the client in its own container, which is only in the web server's network. */
async function client(compose: Project, ...words: string[]): Promise<string> {
  return compose.ok("run", "--rm", "--no-TTY", "client", ...words);
}

check(
  "build and up of a guest book: entries survive restart, crash, down and up",
  async (docker) => {
    const archive = debianArchive(["nginx-light", "python3-psycopg2", "postgresql"]);
    const imported = await docker.client(
      ["import", "--change", 'CMD ["bash"]', archive, "debian:trixie-slim"],
      {
        timeoutMs: 10 * minutes,
      },
    );
    expect(imported.code, imported.stderr).toBe(0);
    const compose = guestbook(docker);
    await compose.ok("build");

    await compose.ok("up", "--detach", "--wait");
    expect(await client(compose, "write", "first entry")).toBe("thank you\n");
    const read = () => client(compose, "read");
    expect(await read()).toBe("first entry\n");

    await compose.ok("restart");
    await compose.ok("up", "--detach", "--wait");
    expect(await read()).toBe("first entry\n");
    await client(compose, "write", "second entry");

    // The database is killed while it works, and restarted by its restart policy.
    const database = `${compose.project}-db-1`;
    const pid = (await docker.call("inspect", "--format", "{{.State.Pid}}", database)).stdout.trim();
    process.kill(Number(pid), "SIGKILL");
    const restarts = async () =>
      (await docker.call("inspect", "--format", "{{.RestartCount}}", database)).stdout;
    await expect.poll(restarts, { timeout: 60_000, interval: 300 }).toBe("1\n");
    await compose.ok("up", "--detach", "--wait");
    expect(await read()).toBe("first entry\nsecond entry\n");

    await compose.ok("down");
    await compose.ok("up", "--detach", "--wait");
    expect(await read()).toBe("first entry\nsecond entry\n");

    // The entries are seen from the host, through the published port, and in the database; the requests in nginx's log.
    const outside = await docker.beside("busybox", "wget", "-qO-", "http://127.0.0.1:8099/");
    expect(outside.stdout).toBe("first entry\nsecond entry\n");
    const sql = [
      "psql",
      "--host",
      "/tmp",
      "--username",
      "guestbook",
      "--dbname",
      "postgres",
      "--tuples-only",
      "--no-align",
    ];
    const script = 'PGPASSWORD=$(cat /run/secrets/password) exec "$@" --command "SELECT count(*) FROM entry"';
    expect(await compose.ok("exec", "-T", "db", "sh", "-c", script, "sh", ...sql)).toBe("2\n");
    expect(
      lines(await compose.ok("logs", "--no-log-prefix", "web")).filter((line) => / "GET \/ HTTP/.test(line))
        .length,
    ).toBeGreaterThan(1);
    await compose.ok("down", "--volumes");
  },
  { timeoutMs: 25 * minutes },
);

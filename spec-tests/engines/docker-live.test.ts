import { expect } from "vitest";
import { dockerTests, IMAGE } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";

const check = dockerTests({ settings: { "live-restore": true } });

check("daemon restarted with live-restore: containers keep running and work as before", async (docker) => {
  const script = "mkdir /web; hostname > /web/index.html; exec httpd -f -p 80 -h /web";
  const flags = ["--detach", "--name", "it", "--hostname", "shop", "--publish", "127.0.0.1:8070:80"];
  expect((await docker.call("run", ...flags, IMAGE, "sh", "-c", script)).code).toBe(0);
  const pid = async () =>
    (await docker.call("inspect", "--format", "{{.State.Pid}} {{.RestartCount}}", "it")).stdout;
  const before = await pid();
  await docker.restart();
  expect(await pid()).toBe(before);
  expect((await docker.call("exec", "it", "cat", "/web/index.html")).stdout).toBe("shop\n");
  expect((await docker.beside("busybox", "wget", "-T", "5", "-qO-", "http://127.0.0.1:8070/")).stdout).toBe(
    "shop\n",
  );
  expect((await docker.call("pause", "it")).code).toBe(0);
  expect((await docker.call("unpause", "it")).code).toBe(0);
  expect(lines((await docker.call("top", "it")).stdout)).toHaveLength(2);
  await docker.call("kill", "it");
  expect((await docker.call("wait", "it")).stdout).toBe("137\n");
  await docker.call("rm", "it");
});

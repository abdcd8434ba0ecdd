// A stream of events: what a container uses, twice a second, until it ends. Before that, what is wrong with a config.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { create, defaultConfig, events, RuntsError, remove, start, validate, wait } from "runts";

const bundle = mkdtempSync("/tmp/events-");
mkdirSync(`${bundle}/rootfs`);
const config = defaultConfig();
Object.assign(config.process, {
  args: ["sh", "-c", "for i in 1 2 3 4; do seq 200000 > /dev/null; sleep 0.5; done; exit 3"],
  terminal: false,
});
for (const path of ["/usr", "/bin", "/lib", "/lib64"].filter((name) => existsSync(name)))
  config.mounts.push({ destination: path, source: path, type: "bind", options: ["rbind", "ro"] });

const wrong = structuredClone(config);
wrong.linux.namespaces = wrong.linux.namespaces?.filter(({ type }) => type === "mount") ?? [];
wrong.linux.sysctl = { "net.ipv4.ip_forward": "1" };
for (const { pointer, message } of validate(wrong)) console.log(`wrong: ${pointer}: ${message}`);

const id = bundle.slice("/tmp/".length);
try {
  await create({ id, bundle, config });
  await start(id);
  for await (const event of events(id, { intervalMs: 500 }))
    console.log(event.type === "oom" ? "out of memory" : `${event.data.cpu.usage?.total} ns of CPU time`);
  const { exitCode } = await wait(id);
  console.log(`ended with exit code ${exitCode}`);
} catch (error) {
  if (!(error instanceof RuntsError)) throw error;
  console.error(
    `the container could not be made: ${error.message} (because of ${error.pointer ?? "the host"})`,
  );
} finally {
  await remove(id, { force: true });
  rmSync(bundle, { recursive: true });
}

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "vitest";
import type { EngineDeviation, TestOptions } from "../judged-test.ts";
import { PATH, which } from "../runtime.ts";
import { compareVersions } from "../runtime-version.ts";

export const IMAGE = "localhost/spec-test:latest";
export const PAUSE_IMAGE = "localhost/pause:latest";

const EXAMPLES = join(import.meta.dirname, "../../../examples/kubernetes");

/** The runtime handler that Kubernetes' RuntimeClass names, in the file that users are given. */
export const HANDLER = /^handler: (\S+)$/m.exec(
  readFileSync(join(EXAMPLES, "runtimeclass.yaml"), "utf8"),
)?.[1];

/** Skips a check of what that version of containerd brought where an older one is installed. */
export function needsContainerd(wanted: string, context: TestContext): void {
  const version = containerdVersion();
  if (compareVersions(version, wanted) < 0)
    context.skip(`needs containerd ${wanted}, and this is ${version}`);
}

/** Options for a check that containerd fails with any runtime, since a version. `issue` is the number of the report. */
export function failsSinceContainerd(
  first: string,
  issue: number,
  deviation: Omit<EngineDeviation, "name">,
): TestOptions {
  if (which("containerd") === undefined || compareVersions(containerdVersion(), first) < 0) return {};
  const reason = `${deviation.reason}: https://github.com/containerd/containerd/issues/${issue}`;
  return { engine: { ...deviation, name: `containerd ${containerdVersion()}`, reason } };
}

export interface SettingsOptions {
  /** Of containerd's storage, state, socket and network settings. */
  readonly directory: string;
  /** The executable that the handler of the RuntimeClass calls. */
  readonly runtime: string;
  /** Systemd makes the cgroups, and pods without a RuntimeClass have the runtime under test. */
  readonly systemdCgroup?: boolean;
  /** Where the CRI is served beside the socket, such as 0.0.0.0:1234. */
  readonly tcpAddress?: string;
}

/** A config.toml that has nothing of the host's containerd; below it, the file of examples/kubernetes with the runtime under test. */
export function containerdSettings(options: SettingsOptions): string {
  const isNew = compareVersions(containerdVersion(), "2") >= 0;
  const file = join(EXAMPLES, isNew ? "containerd-2.toml" : "containerd-1.7.toml");
  const ofExample = readFileSync(file, "utf8")
    .replace(/^version = .*$/m, "")
    .replace(/^( *BinaryName = ).*$/m, `$1"${options.runtime}"`)
    .replace(/^( *SystemdCgroup = ).*$/m, `$1${options.systemdCgroup ?? false}`)
    .replace(/^( *default_runtime_name = ).*$/m, options.systemdCgroup ? `$1"${HANDLER}"` : "$&");
  return `${isNew ? ownSettings2(options) : ownSettings1(options)}\n${ofExample}`;
}

// Machines of tests may lack CAP_SYS_RESOURCE, which a pod's oom_score_adj of -998 needs.

function ownSettings1(options: SettingsOptions): string {
  const { directory } = options;
  return `version = 2
${storage(options)}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  disable_tcp_service = ${options.tcpAddress === undefined}
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "${directory}/cni"
`;
}

function ownSettings2(options: SettingsOptions): string {
  const { directory } = options;
  return `version = 3
${storage(options)}
[plugins."io.containerd.nri.v1.nri"]
  socket_path = "${directory}/nri.sock"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "${PAUSE_IMAGE}"

[plugins."io.containerd.grpc.v1.cri"]
  disable_tcp_service = ${options.tcpAddress === undefined}

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "${directory}/cni"
`;
}

/** What both versions have in common. */
function storage({ directory, tcpAddress = "" }: SettingsOptions): string {
  return `root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = "${directory}/socket"
  tcp_address = "${tcpAddress}"

[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
`;
}

let version: string | undefined;

/** Such as 2.1.9. */
function containerdVersion(): string {
  version ??= askVersion();
  return version;
}

function askVersion(): string {
  const output = execFileSync("containerd", ["--version"], { encoding: "utf8", env: { PATH } });
  const found = /\b\d+\.\d+\.\d+/.exec(output)?.[0];
  if (found === undefined) throw new Error(`containerd --version tells no version: ${output}`);
  return found;
}

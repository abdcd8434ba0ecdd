import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runCommand } from "../engines/engine.ts";
import { PATH } from "../runtime.ts";
import { tail } from "./node.ts";
import { CONTROL_ADDRESS, HOME, KUBECONFIG, LOGS, PROGRAMS } from "./places.ts";

const CERTIFICATES = join(HOME, "certificates");
const TOKEN = "administrator-token";

/**
 * Starts etcd and Kubernetes' control plane beside vitest, on the bridge that connects the nodes. They end with the namespaces of isolated.sh.
 * A node that does not report for the grace period is taken for dead.
 */
export async function startControlPlane(gracePeriod: string): Promise<void> {
  mkdirSync(LOGS, { recursive: true });
  mkdirSync(join(HOME, "seccomp"), { recursive: true });
  await makeBridge();
  writeFiles();
  start("etcd", etcdWords());
  start("kube-apiserver", apiserverWords());
  for (let tries = 0; !(await isReady()); tries += 1) {
    if (tries === 600) throw new Error(`the API server does not get ready: ${tail("kube-apiserver")}`);
    await sleep(200);
  }
  start("kube-controller-manager", controllerWords(gracePeriod));
  start("kube-scheduler", [`--kubeconfig=${KUBECONFIG}`, "--leader-elect=false"]);
}

async function makeBridge(): Promise<void> {
  const script = [
    "ip link add nodes type bridge",
    `ip address add ${CONTROL_ADDRESS}/24 dev nodes`,
    "ip link set nodes up",
    // Programs look for the address of the default route.
    "ip route add default dev nodes",
    "echo 1 >/proc/sys/net/ipv4/ip_forward",
  ];
  const { code, stderr } = await runCommand(["sh", "-ec", script.join("\n")]);
  if (code !== 0) throw new Error(`no bridge for the nodes: ${stderr}`);
}

function writeFiles(): void {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync(join(HOME, "tokens.csv"), `${TOKEN},administrator,1,"system:masters"\n`);
  writeFileSync(join(HOME, "account.key"), privateKey.export({ type: "pkcs1", format: "pem" }));
  writeFileSync(join(HOME, "account.pub"), publicKey.export({ type: "spki", format: "pem" }));
  writeFileSync(join(HOME, "resolv.conf"), "nameserver 127.0.0.1\n");
  const name = "test";
  const cluster = { server: `https://${CONTROL_ADDRESS}:6443`, "insecure-skip-tls-verify": true };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster }],
    users: [{ name, user: { token: TOKEN } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  };
  writeFileSync(KUBECONFIG, JSON.stringify(config));
}

function etcdWords(): string[] {
  const client = "http://127.0.0.1:2379";
  return [
    `--data-dir=${join(HOME, "etcd")}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    "--listen-peer-urls=http://127.0.0.1:2380",
    "--unsafe-no-fsync",
  ];
}

function apiserverWords(): string[] {
  return [
    "--etcd-servers=http://127.0.0.1:2379",
    "--service-cluster-ip-range=10.96.0.0/16",
    `--cert-dir=${CERTIFICATES}`,
    "--bind-address=0.0.0.0",
    `--advertise-address=${CONTROL_ADDRESS}`,
    "--secure-port=6443",
    "--insecure-port=0",
    `--token-auth-file=${join(HOME, "tokens.csv")}`,
    "--authorization-mode=Node,RBAC",
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${join(HOME, "account.pub")}`,
    `--service-account-signing-key-file=${join(HOME, "account.key")}`,
    "--allow-privileged=true",
    "--feature-gates=EphemeralContainers=true,ProcMountType=true",
    // Nobody resolves the nodes' names.
    "--kubelet-preferred-address-types=InternalIP",
    // There is no kube-proxy beside the control plane, which reaches pods, but not addresses of services.
    "--enable-aggregator-routing=true",
    // Pods leave a dead node soon.
    "--default-not-ready-toleration-seconds=5",
    "--default-unreachable-toleration-seconds=5",
  ];
}

function controllerWords(gracePeriod: string): string[] {
  return [
    `--kubeconfig=${KUBECONFIG}`,
    `--service-account-private-key-file=${join(HOME, "account.key")}`,
    `--root-ca-file=${join(CERTIFICATES, "apiserver.crt")}`,
    "--use-service-account-credentials",
    "--leader-elect=false",
    "--allocate-node-cidrs=false",
    `--node-monitor-grace-period=${gracePeriod}`,
    "--node-monitor-period=2s",
  ];
}

function start(name: string, words: readonly string[]): void {
  const log = openSync(join(LOGS, `${name}.log`), "a");
  const built = join(PROGRAMS, name);
  const child = spawn(existsSync(built) ? built : name, words, {
    env: { PATH, HOME },
    stdio: ["ignore", log, log],
    detached: true,
  });
  child.unref();
  closeSync(log);
}

async function isReady(): Promise<boolean> {
  const ask = [join(PROGRAMS, "kubectl"), `--kubeconfig=${KUBECONFIG}`, "get", "--raw", "/readyz"];
  return (await runCommand(ask, { env: { HOME } })).code === 0;
}

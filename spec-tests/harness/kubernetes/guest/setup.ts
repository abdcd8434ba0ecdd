import { runCommand } from "../../engines/engine.ts";
import buildBase from "../../guests/setup.ts";
import { startControlPlane } from "../control-plane.ts";
import { TAP } from "./node.ts";

/** Runs once before the tests, below isolated.sh: starts the control plane, with a socket for the network card of a guest. */
export default async function setup(): Promise<() => void> {
  const removeBase = buildBase();
  // The kubelet of an emulated machine may be late.
  await startControlPlane("600s");
  const script = `ip tuntap add dev ${TAP} mode tap && ip link set ${TAP} master nodes up`;
  const { code, stderr } = await runCommand(["sh", "-c", script]);
  if (code !== 0) throw new Error(`no network for a guest: ${stderr}`);
  return removeBase;
}

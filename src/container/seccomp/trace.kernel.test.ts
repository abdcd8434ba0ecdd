import { closeSync, openSync } from "node:fs";
import { expect, it, onTestFinished, vi } from "vitest";
import { seccomp_notif } from "../../../bindings/abi/layouts.ts";
import { SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND } from "../../../bindings/abi/seccomp.ts";
import { callKernel, substituteKernel } from "../../../bindings/ffi/syscall.ts";
import { auditArch } from "../../seccomp/enosys.ts";
import { native, number, profile } from "../../seccomp/filter.test-support.ts";
import { savedState } from "../record/status.test-support.ts";
import { SeccompTrace } from "./trace.ts";

/** A descriptor that is always readable, like a listener while a process waits for an answer. */
const listener = vi.hoisted(() => ({ fd: -1 }));
vi.mock("./agent.ts", () => ({
  takeListener: (_: unknown, deliver: (fd: number) => void) => deliver(listener.fd),
}));

it("answers some of the calls that come without end, and then lets other events be handled", () => {
  listener.fd = openSync("/dev/zero", "r");
  onTestFinished(() => closeSync(listener.fd));
  const trace = new SeccompTrace();
  const config = { ociVersion: "1.3.0", root: { path: "rootfs" } };
  trace.changeConfig({ ...config, linux: { seccomp: profile([]) } });
  trace.handOver({ pid: 0, connection: -1, saved: savedState(), status: "created" });
  onTestFinished(() => trace.close());
  const calls = { received: 0, answered: 0 };
  substituteKernel((name, args) => {
    if (name !== "ioctl") return callKernel(name, args);
    if (args[1] === SECCOMP_IOCTL_NOTIF_RECV && args[2] instanceof Uint8Array) {
      calls.received += 1;
      const view = new DataView(args[2].buffer);
      view.setInt32(seccomp_notif["data.nr"], number("mkdirat"), true);
      view.setUint32(seccomp_notif["data.arch"], auditArch(native), true);
    }
    if (args[1] === SECCOMP_IOCTL_NOTIF_SEND) calls.answered += 1;
    // So many that a trace without a limit would go on.
    return calls.received > 1000 ? -1 : 0;
  });
  onTestFinished(() => substituteKernel(undefined));
  trace.forward();
  expect(calls).toEqual({ received: 16, answered: 16 });
});

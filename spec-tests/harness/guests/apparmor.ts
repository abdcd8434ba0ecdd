import type { GuestSandbox } from "./sandbox.ts";

const SECURITY = "/sys/kernel/security";

/** Loads a profile in the guest, whose kernel has AppArmor. */
export async function loadProfile({ guest }: GuestSandbox, profile: string): Promise<void> {
  const parser = '"$modules/usr/sbin/apparmor_parser" --skip-cache --replace';
  const mount = `[ -d ${SECURITY}/apparmor ] || mount -t securityfs securityfs ${SECURITY}`;
  await guest.output(`${mount}; echo '${profile}' | ${parser}`);
}

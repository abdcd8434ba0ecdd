import type { Guest } from "./guest.ts";

/** criu lists sockets with the *_diag modules, and locks connections with nftables. */
const MODULES =
  "inet_diag tcp_diag udp_diag unix_diag netlink_diag af_packet_diag nf_tables nft_ct nf_conntrack_netlink tun veth";

/** Loads the kernel's modules that criu needs. */
export async function prepareForCriu(guest: Guest): Promise<void> {
  await guest.output(`[ -x /usr/sbin/criu ] || { echo 'criu is not installed: apt-get install criu' >&2; exit 1; }
    ip link set lo up; /usr/sbin/modprobe -d "$modules" -a ${MODULES}`);
}

// linux/bpf.h, Linux 6.12.

// enum bpf_cmd
export const BPF_MAP_CREATE = 0;
export const BPF_MAP_LOOKUP_ELEM = 1;
export const BPF_MAP_UPDATE_ELEM = 2;
export const BPF_MAP_GET_NEXT_KEY = 4;
export const BPF_PROG_LOAD = 5;
export const BPF_PROG_ATTACH = 8;
export const BPF_PROG_DETACH = 9;
export const BPF_PROG_GET_FD_BY_ID = 13;
export const BPF_OBJ_GET_INFO_BY_FD = 15;
export const BPF_PROG_QUERY = 16;
export const BPF_RAW_TRACEPOINT_OPEN = 17;

// enum bpf_map_type
export const BPF_MAP_TYPE_HASH = 1;
export const BPF_MAP_TYPE_ARRAY = 2;
export const BPF_MAP_TYPE_CGROUP_ARRAY = 8;

// enum bpf_prog_type
export const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
export const BPF_PROG_TYPE_RAW_TRACEPOINT = 17;

// enum bpf_attach_type
export const BPF_CGROUP_DEVICE = 6;

// Flags of BPF_PROG_ATTACH and BPF_MAP_UPDATE_ELEM
export const BPF_F_ALLOW_MULTI = 2;
export const BPF_NOEXIST = 1;

/** Source register of BPF_LD_IMM64: the immediate is the descriptor of a map. */
export const BPF_PSEUDO_MAP_FD = 1;

// enum bpf_func_id
export const BPF_FUNC_map_lookup_elem = 1;
export const BPF_FUNC_map_update_elem = 2;
export const BPF_FUNC_get_current_comm = 16;
export const BPF_FUNC_get_current_task = 35;
export const BPF_FUNC_current_task_under_cgroup = 37;
export const BPF_FUNC_probe_read_kernel = 113;

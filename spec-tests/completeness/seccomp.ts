import type { Coverage } from "./rows.ts";

const ACTION = "run with the action {}: the action is taken";

export const SECCOMP: Coverage = {
  "/linux/seccomp": [
    "run without seccomp: no filter",
    "run without CAP_SYS_ADMIN and without noNewPrivileges: the filter is loaded before capabilities go",
  ],
  "/linux/seccomp/defaultAction": [
    "create without defaultAction: error, nothing left",
    "create, seccomp with an unknown action: error, nothing left",
    "run with a rule equal to the default action: no error",
  ],
  "/linux/seccomp/defaultAction={}": [
    "run with the default action {}: the action is taken for a call without a rule",
  ],
  "/linux/seccomp/defaultAction=SCMP_ACT_NOTIFY": [
    "run with notify as the default action: the agent answers all calls",
  ],
  "/linux/seccomp/defaultErrnoRet": ["create with defaultErrnoRet for an action that has none: error"],
  "/linux/seccomp/architectures": ["create, seccomp with an unknown architecture: error, nothing left"],
  "/linux/seccomp/architectures/*={}": [
    "create with each architecture of the specification: its name is known",
  ],
  "/linux/seccomp/flags": [
    "create, seccomp with an unknown flag: error, nothing left",
    "start with the flags []: the kernel has LOG if it is listed",
  ],
  "/linux/seccomp/flags/*={}": ['start with the flags ["{}"]: the kernel has LOG if it is listed'],
  "/linux/seccomp/flags/*=SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": [
    "run with a notify rule and WAIT_KILLABLE_RECV: accepted",
  ],
  "/linux/seccomp/listenerPath": [
    "start with a notify rule: one state and one descriptor on one connection, which is closed",
    "run with a listenerPath and no notify rule: it is not connected",
    "run with a notify rule, nobody listens at listenerPath: error, nothing left",
    "create with a notify rule and no listenerPath: error, nothing left",
  ],
  "/linux/seccomp/listenerMetadata": [
    "start with a notify rule: one state and one descriptor on one connection, which is closed",
    "start with a notify rule, no metadata given: none is sent",
    "create with listenerMetadata and no listenerPath: error, nothing left",
  ],
  "/linux/seccomp/syscalls/*/names": [
    "run with a name that no kernel knows: skipped",
    "run with a rule without names: skipped, the others hold",
  ],
  "/linux/seccomp/syscalls/*/action": [
    "create, seccomp with an unknown action in a rule: error, nothing left",
  ],
  "/linux/seccomp/syscalls/*/action={}": [ACTION],
  "/linux/seccomp/syscalls/*/action=SCMP_ACT_NOTIFY": [
    "run with a notify rule, noNewPrivileges true: the agent answers the calls",
  ],
  "/linux/seccomp/syscalls/*/errnoRet": [
    "run with errnoRet: the call fails with it",
    "create with errnoRet for an action that has none: error, nothing left",
  ],
  "/linux/seccomp/syscalls/*/args/*/index": [
    "create, seccomp with an argument index above 5: error, nothing left",
    "run with comparisons of two arguments: both are needed",
    "run with two comparisons of one argument: either is enough",
  ],
  "/linux/seccomp/syscalls/*/args/*/value": [
    "run with a value of more than 53 bits: compared exactly",
    "run with a rule on an argument: only matching calls fail",
  ],
  "/linux/seccomp/syscalls/*/args/*/valueTwo": [
    "run with a masked-equal rule on an argument: only matching calls fail",
  ],
  "/linux/seccomp/syscalls/*/args/*/op": ["create, seccomp with an unknown operator: error, nothing left"],
  "/linux/seccomp/syscalls/*/args/*/op={}": [
    "run with a rule on an argument by {}: only matching calls fail",
  ],
  "/linux/seccomp/syscalls/*/args/*/op=SCMP_CMP_MASKED_EQ": [
    "run with a masked-equal rule on an argument: only matching calls fail",
  ],
};

import { afterEach, expect, test } from "vitest";
import { errnoNumber } from "../abi/errno.ts";
import { substituteKernel } from "../ffi/syscall.ts";
import { pidfdOpen } from "./pidfd.ts";

const PID = 4242;

afterEach(() => substituteKernel(undefined));

test.each(["ESRCH", "ENOENT", "EINVAL"])("pidfd_open gives %s: there is no such process", (errno) => {
  substituteKernel(() => -errnoNumber(errno));
  expect(pidfdOpen(PID)).toBeUndefined();
});

test("pidfd_open gives EMFILE: that is an error", () => {
  substituteKernel(() => -errnoNumber("EMFILE"));
  expect(() => pidfdOpen(PID)).toThrow("pidfd_open 4242: EMFILE");
});

/** The output of a command, captured instead of written to the test's own streams. */
export const written = { out: "", err: "" };

export function forgetWritten(): void {
  written.out = "";
  written.err = "";
}

type Files = typeof import("../../bindings/linux/files.ts");

/** The files module as `vi.mock` takes it: writes to standard output and standard error end up in `written`. */
export async function capturingFiles(original: () => Promise<Files>): Promise<Files> {
  const files = await original();
  const writeSync: Files["writeSync"] = (fd, data) => {
    const text = typeof data === "string" ? data : new TextDecoder().decode(data);
    if (fd === 1) written.out += text;
    else if (fd === 2) written.err += text;
    else return files.writeSync(fd, data);
    return data.length;
  };
  return { ...files, writeSync };
}

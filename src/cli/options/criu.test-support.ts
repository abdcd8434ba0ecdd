/** The options that `checkpoint` and `restore` share, as they are without any on the command line. */
export function criuDefaults() {
  return {
    imagePath: `${process.cwd()}/checkpoint`,
    tcpEstablished: false,
    extUnixSk: false,
    shellJob: false,
    fileLocks: false,
    lazyPages: false,
    autoDedup: false,
    cgroupMode: "",
  };
}

export const hotModules: readonly string[];

import { RUNTIME } from "../runtime.ts";

/** A program that calls the runtime under test. Before a container is made, it changes config.json by a script of sed(1). */
export function configEditor(script: string): string {
  return `#!/bin/sh
set -eu
before=
for word; do
  [ "$before" != --bundle ] || sed -i '${script}' "$word/config.json"
  before=$word
done
exec ${RUNTIME} "$@"
`;
}

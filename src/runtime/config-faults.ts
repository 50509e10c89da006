import { findNearestName } from "./nearest-name.ts";

/** One thing that is wrong with the configuration: which variable, and what is wrong with it and what to do. */
export interface ConfigFault {
  readonly variable: string;
  readonly says: string;
}

/** Variables are texts of others: a name may hold what a terminal would obey. */
const printable = (name: string) => name.replace(/[^\x21-\x7e]/g, "?").slice(0, 128);

/** For each name that this version does not know. A typing error would otherwise leave a default in force, in silence. */
export function findUnknown(names: readonly string[], known: readonly string[]): readonly ConfigFault[] {
  return names
    .filter((name) => !known.includes(name))
    .map((name) => ({ variable: printable(name), says: unknownSays(name, known) }));
}

function unknownSays(name: string, known: readonly string[]): string {
  if (/^BATON_(?:GRPC_)?(?:SERVICE_|PORT_)/.test(name)) {
    return "is not a setting; Kubernetes sets it for a service of the relay's name: set enableServiceLinks: false in the pod";
  }
  const nearest = findNearestName(name, known);
  return nearest === undefined
    ? "is not a setting of this version; unset it"
    : `is not a setting; did you mean ${nearest}?`;
}

export function describeFaults(faults: readonly ConfigFault[]): string {
  return faults.map(({ variable, says }) => `${variable}: ${says}`).join("\n");
}

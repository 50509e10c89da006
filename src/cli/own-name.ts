import { isOneFile } from "../runtime/version.ts";

/**
 * How people run this program. The one file is called by its name: `npx` would fetch a package from npm there, where the
 * name is another's.
 */
export const ownName = isOneFile ? "baton" : "npx baton";

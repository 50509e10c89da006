import { readFileSync } from "node:fs";
import { z } from "zod";

export interface WorkerdSetup {
  /** Of each binding: the class of its objects. */
  readonly objects: Readonly<Record<string, string>>;
  /** Variables and secrets, as the worker finds them in its environment. */
  readonly variables?: Readonly<Record<string, string>>;
  /** A certificate, as PEM, that the worker trusts, and it alone, where it asks others; those may be on this machine. */
  readonly trusts?: string;
}

/** The date under which the worker is deployed; it takes no flags. */
function compatibilityDate(): string {
  const text = readFileSync(new URL("../../wrangler.toml", import.meta.url), "utf8");
  return z.iso.date().parse(/^compatibility_date = "(.+)"$/m.exec(text)?.[1]);
}

/**
 * The worker as it is, and beside it an entrypoint of the test's own, which reaches into the process: no deployed worker
 * can. It has to be of the same worker, since a worker reaches its own objects only.
 */
export const testedModule = `
import { WorkerEntrypoint } from "cloudflare:workers";
import unsafe from "workerd:unsafe";
export * from "./worker.mjs";
export { default } from "./worker.mjs";
export class Control extends WorkerEntrypoint {
  async fetch(request) {
    if (new URL(request.url).pathname === "/evict") await unsafe.evictAllDurableObjects();
    else await unsafe.abortAllDurableObjects();
    return new Response(null, { status: 204 });
  }
}
`;

/** What `workerd serve` is told. Text of Cap'n Proto takes strings as JSON writes them. */
export function workerdConfig({ objects, variables = {}, trusts }: WorkerdSetup): string {
  const text = (value: string) => JSON.stringify(value);
  const list = (items: readonly string[]) => `[${items.join(", ")}]`;
  const bindings = [
    ...Object.entries(objects).map(
      ([name, className]) => `(name = ${text(name)}, durableObjectNamespace = ${text(className)})`,
    ),
    ...Object.entries(variables).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`),
  ];
  const classes = [...new Set(Object.values(objects))].map(
    (name) => `(className = ${text(name)}, uniqueKey = ${text(name)}, enableSql = true)`,
  );
  const outside = `(allow = ["public", "private"], tlsOptions = (trustedCertificates = [${text(trusts ?? "")}]))`;
  const internet = trusts === undefined ? [] : [`(name = "internet", network = ${outside})`];
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "objects", disk = (writable = true)),
    ${internet.join("")}
  ],
  sockets = [
    (name = "worker", address = "127.0.0.1:0", http = (), service = "worker"),
    (name = "control", address = "127.0.0.1:0", http = (), service = (name = "worker", entrypoint = "Control")),
  ],
);
const worker :Workerd.Worker = (
  modules = [
    (name = "tested.mjs", esModule = embed "tested.mjs"),
    (name = "worker.mjs", esModule = embed "worker.mjs"),
  ],
  compatibilityDate = ${text(compatibilityDate())},
  compatibilityFlags = ["unsafe_module"],
  bindings = ${list(bindings)},
  durableObjectNamespaces = ${list(classes)},
  durableObjectStorage = (localDisk = "objects"),
);
`;
}

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { z } from "zod";
import { repository } from "./install.ts";

/** What the package exports, by path. A name that changes here changes for everybody who uses it: say so in CHANGELOG.md. */
const surface: Readonly<Record<string, readonly string[]>> = {
  relay: [
    "BatonError",
    "StartError",
    "createLocalBus",
    "createMemoryLog",
    "createRelay",
    "defaultLimits",
    "openSqliteLog",
    "serve",
    "startRelay",
    "type AppendBatch",
    "type AppendOutcome",
    "type BatchWriter",
    "type BusMessage",
    "type Claim",
    "type ClientKey",
    "type CodeName",
    "type ConnectionLimits",
    "type FetchHandler",
    "type Limits",
    "type LogRecord",
    "type LogState",
    "type Metrics",
    "type Reason",
    "type RelayConfig",
    "type RelayFacts",
    "type RelayOptions",
    "type RunningRelay",
    "type RunningServer",
    "type ServeOptions",
    "type SessionBus",
    "type SessionListing",
    "type SessionLog",
    "type SqliteLogOptions",
    "type StartedRelay",
    "type StoredSnapshot",
    "type TlsIdentity",
    "type WireBindings",
  ],
  auth: [
    "createKeySet",
    "importPublicKeys",
    "importSecret",
    "signDevelopmentToken",
    "type Algorithm",
    "type DevelopmentClaims",
    "type ImportedKeys",
    "type KeySource",
    "type VerificationKey",
  ],
  client: [
    "SessionClient",
    "SessionConnection",
    "bidiCarriage",
    "chooseCarriage",
    "readTail",
    "socketCarriage",
    "splitCarriage",
    "type Carriage",
    "type CarriageMemory",
    "type ChoiceOptions",
    "type ClientEvent",
    "type ClientOptions",
    "type ConnectionOptions",
    "type Interruption",
    "type NamedCarriage",
    "type NewComment",
    "type SocketAddress",
    "type SocketCarriageOptions",
    "type Stop",
    "type TailOptions",
    "type TokenNeed",
    "type TokenSource",
  ],
  /** All that is generated from the contract, which has a baseline of its own. */
  proto: ["*"],
};

const api = join(repository, "src/api");
const source = (name: string) => readFileSync(join(api, `${name}.ts`), "utf8");

/** The names of `export { a, type B } from` and of `export * from`, types marked, sorted. */
function exportedBy(text: string): readonly string[] {
  const lists = text.matchAll(/^export (type )?(\*|\{[^}]*\}) from "/gm);
  return [...lists]
    .flatMap(([, all = "", list = ""]) =>
      list
        .replace(/[{}]/g, "")
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== "")
        .map((name) => `${all}${name}`),
    )
    .sort();
}

const manifestSchema = z.object({
  private: z.literal(true),
  exports: z.record(z.string(), z.union([z.string(), z.record(z.string(), z.string())])),
});

describe("what the package exports", () => {
  test("PK6 each path exports the names that are listed, and no other", () => {
    for (const [name, names] of Object.entries(surface)) assert.deepEqual(exportedBy(source(name)), names, name);
    assert.deepEqual(
      readdirSync(api).sort(),
      Object.keys(surface)
        .map((name) => `${name}.ts`)
        .sort(),
    );
  });

  test("PK6 nothing is exported in another way, and the values are there", async () => {
    for (const [name, names] of Object.entries(surface)) {
      const text = source(name);
      assert.equal(text.match(/^export /gm)?.length, text.match(/^export (type )?[*{]/gm)?.length, name);
      if (names.includes("*")) continue;
      const values = names.filter((one) => !one.startsWith("type "));
      const module: object = await import(join(api, `${name}.ts`));
      assert.deepEqual(Object.keys(module).sort(), values);
    }
  });

  test("PK6 package.json has a path for each, with its types first, and stays private", () => {
    const { exports } = manifestSchema.parse(JSON.parse(readFileSync(join(repository, "package.json"), "utf8")));
    const expected = Object.keys(surface).map((name) => [
      name === "relay" ? "." : `./${name}`,
      { types: `./dist/api/${name}.d.ts`, default: `./dist/api/${name}.js` },
    ]);
    assert.deepEqual(exports, { ...Object.fromEntries(expected), "./package.json": "./package.json" });
    for (const paths of Object.values(exports)) {
      if (typeof paths !== "string") assert.deepEqual(Object.keys(paths), ["types", "default"]);
    }
  });

  test("PK7 the client and the contract stand on nothing of a runtime's own", () => {
    const seen = new Set<string>();
    const packages = new Set<string>();
    const visit = (path: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const [, target = ""] of readFileSync(path, "utf8").matchAll(/(?:from|import) ?\(?"([^"]+)"/g)) {
        if (target.startsWith(".")) visit(join(path, "..", target));
        else packages.add(target);
      }
    };
    for (const name of ["client", "proto"]) visit(join(api, `${name}.ts`));
    assert.ok(seen.size > 30, `${seen.size} files`);
    assert.deepEqual(
      [...packages].filter(
        (name) => !/^(@bufbuild\/protobuf|@codemirror\/state|@connectrpc\/connect)(\/|$)/.test(name),
      ),
      [],
    );
  });
});

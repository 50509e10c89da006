import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { z } from "zod";
import { runtimes } from "../support/runtimes.ts";
import { installPackage, repository } from "./install.ts";

const project = installPackage();
after(() => rmSync(project.folder, { recursive: true, force: true }));

const settings = Object.entries(process.env).filter(([name]) => !/^_?BATON_/.test(name));

function run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return spawnSync(command, args, {
    cwd: project.folder,
    encoding: "utf8",
    env: { ...Object.fromEntries(settings), ...env },
  });
}

const tool = (name: string) => join(repository, "node_modules/.bin", name);
const own = (name: string) => readFileSync(join(repository, name), "utf8");

/** The programs in the README's section for those who use the package, one file each. */
const readmePrograms = (own("README.md").split("\n## Use it as a library\n")[1] ?? "")
  .split("\n## ")[0]
  ?.matchAll(/```ts\n(.*?)```/gs);

describe("the package", () => {
  test("PK1 holds what was built, its docs and its contract, and nothing else", () => {
    const expected = [
      /^(LICENSE|README\.md|CHANGELOG\.md|SECURITY\.md|package\.json)$/,
      /^bin\/baton\.mjs$/,
      /^dist\/(api|auth|cli|client|durable|gen|relay|runtime|session)\/[\w/-]+\.(js|d\.ts)$/,
      /^docs\/[\w-]+\.md$/,
      /^proto\/codereview\/v1\/codereview\.proto$/,
    ];
    const unexpected = project.files.filter((name) => !expected.some((pattern) => pattern.test(name)));
    assert.deepEqual(unexpected, []);
    for (const pattern of expected)
      assert.ok(
        project.files.some((name) => pattern.test(name)),
        String(pattern),
      );
  });

  test("PK1 has all of the sources, each with its declarations, and names no file that is not there", () => {
    // What runs on Workers is bundled from the repository, with its wrangler.toml.
    const sources = readdirSync(join(repository, "src"), { recursive: true, encoding: "utf8" }).filter(
      (name) => name.endsWith(".ts") && !name.startsWith("runtime/worker"),
    );
    assert.ok(sources.length > 100);
    for (const source of sources) {
      const built = join("dist", source.replace(/\.ts$/, ""));
      for (const ending of [".js", ".d.ts"]) assert.ok(project.files.includes(built + ending), built + ending);
    }
    const files = new Set(project.files);
    const missing = project.files
      .filter((name) => name.startsWith("dist/"))
      .flatMap((name) =>
        [...readFileSync(join(project.installed, name), "utf8").matchAll(/(?:from |import\()"(\.[^"]+)"/g)]
          .map(([, target]) => join(name, "..", target ?? ""))
          .filter((target) => !files.has(target))
          .map((target) => `${name} -> ${target}`),
      );
    assert.deepEqual(missing, []);
  });

  test("PK2 passes publint", () => {
    const { status, stdout, stderr } = run(tool("publint"), ["--strict", project.installed]);
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /All good!/);
  });

  for (const [moduleResolution, module] of [
    ["node16", "node16"],
    ["nodenext", "nodenext"],
    ["bundler", "esnext"],
  ] as const) {
    test(`PK3 its types hold for a program that uses it, by ${moduleResolution}`, () => {
      const folder = join(project.folder, moduleResolution);
      mkdirSync(folder);
      writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
      copyFileSync(join(import.meta.dirname, "consumer/embed.ts"), join(folder, "embed.ts"));
      const programs = [...(readmePrograms ?? [])];
      for (const [index, [, text = ""]] of programs.entries()) writeFileSync(join(folder, `readme-${index}.ts`), text);
      const compilerOptions = {
        module,
        moduleResolution,
        target: "es2023",
        lib: ["es2024", "dom", "dom.iterable", "dom.asynciterable"],
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        rootDir: ".",
        outDir: "out",
      };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
      const { status, stdout } = run(tool("tsc"), ["-p", folder]);
      assert.equal(status, 0, stdout);
    });
  }

  test("PK4 each package that it imports is one of its dependencies", () => {
    const names = z.record(z.string(), z.string());
    // Peers are those that are asked for where somebody wants traces.
    const { dependencies, peerDependencies } = z
      .object({ dependencies: names, peerDependencies: names })
      .parse(JSON.parse(own("package.json")));
    const imported = project.files
      .filter((name) => /^dist\/.*\.(js|d\.ts)$/.test(name))
      .flatMap((name) => [
        ...readFileSync(join(project.installed, name), "utf8").matchAll(/(?:from |import\()"([^".][^"]*)"/g),
      ])
      .map(([, specifier = ""]) => /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? "")
      .filter((name) => !/^(node|bun):/.test(name));
    assert.ok(new Set(imported).size > 5);
    // Bun is what the launcher starts.
    assert.deepEqual(
      [...new Set(imported), "bun"].sort(),
      Object.keys({ ...dependencies, ...peerDependencies }).sort(),
    );
  });

  // Deno runs it in a clone alone: there its program is installed beside.
  for (const name of ["bun", "node"] as const) {
    const path = runtimes[name];
    test(`PK4 the program starts a relay, edits in it and mounts another, on ${name}`, () => {
      rmSync(join(project.folder, "baton.sqlite"), { force: true });
      const { status, stdout, stderr } = run(path, [join(project.folder, "nodenext/out/embed.js")]);
      assert.equal(status, 0, stdout + stderr);
      assert.deepEqual(stdout.trim().split("\n"), [
        "bob sees let x = 1;",
        "closed",
        "closed",
        "the log has 1",
        "its own path 200, the relay's 404",
        "unavailable",
      ]);
    });

    test(`PK5 its command runs what was built, on ${name}`, () => {
      const launcher = join(project.installed, "bin/baton.mjs");
      const { status, stdout, stderr } = run(runtimes.node, [launcher, "check"], { BATON_RUNTIME: name });
      assert.equal(status, 0, stdout + stderr);
      assert.match(stdout, new RegExp(`^BATON_RUNTIME=${name}$`, "m"));
      assert.equal(stderr, "");
    });
  }
});

// Generates into a folder beside the present ones and compares: src/gen must be what proto/ says, docs/errors.md what the
// list of reasons says, docs/metrics.md what the catalogue says.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const scratch = mkdtempSync(join(tmpdir(), "baton-gen-"));
try {
  const template = join(scratch, "buf.gen.yaml");
  const fresh = join(scratch, "gen");
  writeFileSync(template, readFileSync("buf.gen.yaml", "utf8").replace("out: src/gen", `out: ${fresh}`));
  execFileSync("buf", ["generate", "--template", template], { stdio: "inherit" });
  const files = (folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length))
      .sort();
  const expected = files(fresh);
  const present = files("src/gen");
  const stale = [...new Set([...expected, ...present])].filter(
    (name) =>
      !expected.includes(name) ||
      !present.includes(name) ||
      readFileSync(join(fresh, name), "utf8") !== readFileSync(join("src/gen", name), "utf8"),
  );
  if (stale.length > 0) {
    console.error(`src/gen differs from what proto/ gives; run 'npm run generate': ${stale.join(", ")}`);
    process.exitCode = 1;
  }
  for (const [name, source] of [
    ["errors", "src/session/reasons.ts"],
    ["metrics", "src/relay/metrics/catalogue.ts"],
  ]) {
    const generated = join(scratch, `${name}.md`);
    const kept = `docs/${name}.md`;
    execFileSync("bun", [`scripts/generate-${name}.ts`, generated], { stdio: "inherit" });
    if (!existsSync(kept) || readFileSync(generated, "utf8") !== readFileSync(kept, "utf8")) {
      console.error(`${kept} differs from what ${source} gives; run 'npm run generate'`);
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

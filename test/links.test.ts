import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

const repository = resolve(import.meta.dirname, "..");
const pages = [
  ...readdirSync(repository),
  ...["docs", "examples", "bench", "proto"].flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  ),
].filter((path) => path.endsWith(".md"));

const read = (path: string) => readFileSync(join(repository, path), "utf8").replace(/^```[\s\S]*?^```/gm, "");

/** As GitHub makes them of headings. */
const anchorsOf = (text: string) =>
  new Set(
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );

test("EX11 every link of the docs leads to a file that is there, and to a heading of it", () => {
  const broken: string[] = [];
  let seen = 0;
  for (const page of pages) {
    for (const [link, target = ""] of read(page).matchAll(/\]\((?!\w+:)([^)\s]+)\)/g)) {
      seen += 1;
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? page : relative(repository, resolve(repository, dirname(page), path));
      const isThere = existsSync(join(repository, file));
      const isFound = anchor === undefined || (isThere && file.endsWith(".md") && anchorsOf(read(file)).has(anchor));
      if (!isThere || !isFound) broken.push(`${page}: ${link}`);
    }
  }
  assert.ok(seen > 100, String(seen));
  assert.deepEqual(broken, []);
});

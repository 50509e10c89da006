const maxPathLength = 512;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
const unprintable = /[\u0000-\u001f\u007f]|[\ud800-\udfff]/u;

/** A file's name in a session: any text without control characters. It names nothing on a disk. */
export function isPathValid(path: string): boolean {
  return path.length > 0 && path.length <= maxPathLength && !unprintable.test(path);
}
